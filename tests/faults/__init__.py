"""Attacks on a real server, and a checker outside it that counts what it did."""
