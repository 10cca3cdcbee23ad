"""Cores made without user data, beside what they are made of: ``make bench-pretraining``."""
