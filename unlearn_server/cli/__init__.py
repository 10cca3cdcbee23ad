"""The command ``unlearn-server``, one file a group of commands."""

from unlearn_server.cli.root import main

__all__ = ["main"]
