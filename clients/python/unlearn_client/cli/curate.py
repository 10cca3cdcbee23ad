"""``unlearn curate``: proposes what to erase or to weigh less, and erases it if told to."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.console import Group, RenderableType

from unlearn.v1.erasure_pb2 import PreviewErasureResponse
from unlearn.v1.valuation_pb2 import Derivative
from unlearn_client.cli import pictures
from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.asking import Request, carry_out
from unlearn_client.cli.calibration import calibrate
from unlearn_client.cli.reports import listing
from unlearn_client.cli.teaching import Command
from unlearn_client.cli.valuation_reports import preview_report
from unlearn_client.cli.value import OBJECTIVES, objective_option, plot_option, ridge_option
from unlearn_client.client import Client
from unlearn_client.selection import Selection

LARGEST_ERASURE = 10_000
"""Samples that one erasure may name."""

PARTS = 5
"""Of what is proposed, that --plot looks ahead to the erasure of."""

SHOWN = 20


class Proposal(NamedTuple):
    """What to do with a sample: weight 0 is to erase it."""

    sample: str
    derivative: float
    weight: float


@click.command(
    cls=Command,
    example="""\
unlearn curate pets
unlearn --json curate pets --epsilon 50 --steps 3
unlearn curate pets --plot removed.svg
unlearn curate pets --epsilon 50 --apply""",
)
@click.argument("model")
@objective_option
@click.option(
    "--epsilon",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Propose to erase samples whose derivative is above this.",
)
@ridge_option("default: the least that proposes at most 5 % of the CORE samples.")
@click.option(
    "--steps",
    type=click.IntRange(1, 3),
    default=1,
    show_default=True,
    help="Of at most 0.1 down the gradient, to propose weights by.",
)
@plot_option("Draw the held-out error of what would be left against the fraction removed")
@click.option("--apply", "applies", is_flag=True, help="Erase those; else nothing is changed.")
@click.option("--yes", is_flag=True, help="Do not ask before --apply.")
@pass_app
def curate(
    app: App,
    model: str,
    objective: str,
    epsilon: float,
    ridge: float,
    steps: int,
    plot: Path | None,
    applies: bool,
    yes: bool,
) -> None:
    """Propose which samples of MODEL to erase, and which of the others to weigh less or more.

    At most 10,000 are erased at a time, by an erasure like any other: certified, and for good.
    CORE samples are never among them. A model weighs all its samples the same, so other
    weights are for whoever trains elsewhere.
    """
    client = app.client()

    def values_under(ridge: float, steps: int = 1) -> list[Derivative]:
        kind = OBJECTIVES[objective]
        return list(client.differentiate_dataset(model, kind, ridge=ridge, steps=steps))

    with app.progress("Leaving out"):
        if ridge:
            values: Sequence[Derivative] = values_under(ridge, steps)
        else:
            own = client.get_model(model).user_weights.ridge
            ridge, values = calibrate(values_under, own, epsilon)
            if steps > 1:  # further ones only under the ridge that is taken
                values = values_under(ridge, steps)
    click.echo(f"Valued under ridge {ridge:g}", err=True)
    erased = [v for v in values if v.derivative > epsilon and not v.core][:LARGEST_ERASURE]
    app.show_all(map(Proposal._asdict, propose(values, erased)), _listing)
    with app.progress("Looking ahead"):
        ahead = list(_look_ahead(client, model, erased, PARTS if plot else 1))
    if ahead:
        app.show(ahead[-1], preview_report(ahead[-1]))
    if plot:
        pictures.save_removals(plot, len(values), client.estimate_error(model), ahead)
    if applies and erased:
        _erase(app, model, erased, yes)


def propose(values: Iterable[Derivative], erased: Iterable[Derivative]) -> Iterator[Proposal]:
    """The weight proposed for each sample, 0 for those to erase."""
    gone = {value.id for value in erased}
    for value in values:
        weight = 0.0 if value.id in gone else value.proposed_weight
        yield Proposal(value.id, value.derivative, weight)


def _look_ahead(
    client: Client, model: str, erased: Sequence[Derivative], parts: int
) -> Iterator[PreviewErasureResponse]:
    """What erasing more and more of them would do, and at last all."""
    for count in sorted({-(-len(erased) * part // parts) for part in range(1, parts + 1)} - {0}):
        yield client.preview_erasure(model, Selection.samples(v.id for v in erased[:count]))


def _erase(app: App, model: str, erased: Sequence[Derivative], yes: bool) -> None:
    if not yes:
        click.confirm(f"Erase {len(erased)} samples for good?", abort=True, err=True)
    request = Request(Selection.samples(v.id for v in erased), (model,))
    carry_out(app, request, waits=True)


def _listing(proposals: Iterable[dict[str, Any]]) -> RenderableType:
    found = [Proposal(**each) for each in proposals]
    count = sum(not proposal.weight for proposal in found)
    rows = (
        (p.sample, f"{p.derivative:.4g}", f"{p.weight:.3f}" if p.weight else "erase")
        for p in found[:SHOWN]
    )
    table = listing(["Sample", "Derivative", "Proposed weight"], rows)
    return Group(f"{count} of {len(found)} samples to erase, the most harmful first:", table)
