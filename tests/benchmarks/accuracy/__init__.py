"""Test error of what can forget exactly, beside fine-tuning: ``make bench-accuracy``."""
