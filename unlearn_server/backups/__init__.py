"""Backups: what a server keeps in two files, and a server made of them again.

``data`` holds all but the keys, ``keys`` those and the server's own secrets. Both are SQLite
files, whichever database the server has. ``manifest.json`` says what they are. See
docs/backups.md for what that means to whoever was erased.
"""
