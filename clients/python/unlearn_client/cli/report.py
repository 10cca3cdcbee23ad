"""``unlearn report``: what was asked and done in a period, to read, to print or to file."""

from datetime import UTC, datetime
from pathlib import Path

import click

from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.outputs import Output, writing
from unlearn_client.cli.teaching import Command
from unlearn_client.reports import MEDIA_TYPES

_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"])


@click.command(
    "report",
    cls=Command,
    example="""\
unlearn report --from 2026-01-01 --to 2026-04-01 --out quarter.pdf
unlearn report --from 2026-01-01 --to 2026-04-01 --out - --format json | jq .requests""",
)
@click.option("--from", "start", type=_TIME, required=True, help="Its first moment, in UTC.")
@click.option(
    "--to", "end", type=_TIME, required=True, help="Its end, in UTC, which is not in it any more."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(MEDIA_TYPES)),
    help="Default: what the file's ending says.",
)
@click.option(
    "--out",
    type=Output(allow_dash=True),
    required=True,
    help="The file to write; - for standard output.",
)
@pass_app
def write_report(app: App, start: datetime, end: datetime, form: str | None, out: Path) -> None:
    """Write a report on all erasures of a period, and the evidence for it.

    The PDF is PDF/A-2b, made to be kept; the HTML page needs nothing else; the JSON has
    every number.
    """
    media_type = MEDIA_TYPES[form or _by_ending(out)]
    with app.progress("Reporting"):
        content = app.client().get_report(_utc(start), _utc(end), media_type)
    with writing(out), click.open_file(str(out), "wb") as file:
        file.write(content)
    if str(out) != "-":
        app.show({"file": str(out), "mediaType": media_type}, str(out))


def _by_ending(path: Path) -> str:
    form = path.suffix.removeprefix(".").lower()
    if form not in MEDIA_TYPES:
        raise click.UsageError("--out has no ending that says the form; say it with --format")
    return form


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC)
