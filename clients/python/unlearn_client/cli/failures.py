"""Failures in words: what was refused, why, and what to do about it."""

import json

import click
import grpc

from unlearn_client.cli.app import App
from unlearn_client.errors import UnlearnError

ANSWER_IS_NO = 1
BAD_INPUT = 2
REFUSED = 3
UNREACHABLE = 4

UNREACHABLE_CODES = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})

FIXES = {
    grpc.StatusCode.UNAVAILABLE: "see that the server runs; say where with --address",
    grpc.StatusCode.DEADLINE_EXCEEDED: "allow it more time with --timeout, or look again later",
    grpc.StatusCode.NOT_FOUND: "see what there is: unlearn models list, unlearn erasures list",
    grpc.StatusCode.ABORTED: "it changed meanwhile: look at it again, then repeat",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "the server has its hands full: repeat a little later",
}
"""What to do where the server's ErrorInfo does not say."""

_SAID_OTHERWISE = {"fix", "position", "sample", "message"}


def exit_code(error: UnlearnError) -> int:
    """What the command ends with."""
    return UNREACHABLE if error.code in UNREACHABLE_CODES else REFUSED


def report(error: UnlearnError, app: App | None) -> None:
    """Says on stderr what went wrong."""
    if app is not None and app.as_json:
        click.echo(json.dumps({"error": _as_json(error)}), err=True)
        return
    click.echo(f"Error: {error.reason or error.code.name}: {error.message}", err=True)
    if "position" in error.metadata:
        place = f"sample {int(error.metadata['position']) + 1:,} of those read"
        click.echo(f"  It is {place}, in order of rows or names; others were added.", err=True)
        click.echo("  Mend it and run the same again: what is there already stays.", err=True)
    for key, value in sorted(error.metadata.items()):
        if key not in _SAID_OTHERWISE:
            click.echo(f"  {key}: {value}", err=True)
    if fix := error.metadata.get("fix") or FIXES.get(error.code):
        click.echo(f"  Fix: {fix}", err=True)


def _as_json(error: UnlearnError) -> dict[str, object]:
    return {
        "code": error.code.name,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
    }
