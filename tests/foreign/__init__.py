"""Verifiers that others wrote, which the tests hold the log and its certificates against."""
