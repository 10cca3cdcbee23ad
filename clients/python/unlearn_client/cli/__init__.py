"""The ``unlearn`` command."""

from unlearn_client.cli.root import main

__all__ = ["main"]
