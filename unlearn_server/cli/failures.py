"""Failures in words, and what commands end with."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from unlearn_server.errors import ServerError
from unlearning.errors import UnlearningError

ANSWER_IS_NO = 1
CANNOT = 2


@contextmanager
def told(exit_code: int = CANNOT) -> Iterator[None]:
    """Says on stderr what is raised on purpose, and ends the command with this code."""
    try:
        yield
    except (ServerError, UnlearningError) as error:
        click.echo(f"unlearn-server: {error}", err=True)
        sys.exit(exit_code)
