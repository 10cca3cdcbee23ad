"""Recomputes what a certificate commits to from the rows that remain, with no server at hand.

Of this package's mathematics it alone reads files and has a command, ``unlearn-replay``.
"""
