"""``unlearn-server readouts``: does anything refute that a model forgets?"""

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from unlearn_server.cli import options
from unlearn_server.cli.failures import ANSWER_IS_NO, told
from unlearn_server.cli.progress import bar
from unlearn_server.experiment import Experiment, carry_out
from unlearning.readouts.result import ReadOut, ReadOuts


@click.command(context_settings={"show_default": True})
@click.argument("model")
@options.data_dir
@options.database
@options.master_key
@click.option(
    "--erase", "subjects", multiple=True, required=True, help="A person to forget; may be repeated."
)
@click.option(
    "--shadows",
    default=100,
    type=click.IntRange(min=3),
    help="Worlds that attacks learn from, of three models each.",
)
@click.option(
    "--pairs",
    default=256,
    type=click.IntRange(min=8),
    help="Worlds that attacks are tried in, of two models each.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document, no table.")
def readouts(
    model: str,
    data_dir: Path,
    database: str | None,
    master_key: str | None,
    subjects: tuple[str, ...],
    shadows: int,
    pairs: int,
    as_json: bool,
) -> None:
    """Try to refute that MODEL forgets people, on a copy of its samples in memory.

    Nothing that is stored changes, and a server may go on meanwhile. Exits with 0 if every
    read-out is what retraining and the bound permit, with 1 if one is not, with 2 if it cannot be
    tried.

    \b
    Example:
        unlearn-server readouts pets --data-dir ./data --erase alice --erase bob
    """
    experiment = Experiment(model, subjects, shadows, pairs)
    with told(), bar("models") as progress:
        found = carry_out(data_dir, database, master_key, experiment, progress)
    if as_json:
        click.echo(json.dumps(found.to_json()))
    else:
        Console().print(_table(found))
    sys.exit(0 if found.passed else ANSWER_IS_NO)


def _table(found: ReadOuts) -> Table:
    title = f"{found.erased} erased, {found.retained} retained, {found.test} test samples"
    table = Table("read-out", "measured", "permitted", "finding", title=title)
    for one in (*found.comparisons, *found.attacks):
        table.add_row(*_row(one))
    return table


def _row(one: ReadOut) -> tuple[str, str, str, str]:
    measured, permitted = (
        f"{interval.value:.3g} ({interval.low:.3g} to {interval.high:.3g})"
        for interval in (one.measured, one.permitted)
    )
    return one.name, measured, permitted, one.finding.value
