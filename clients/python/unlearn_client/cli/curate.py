"""``unlearn curate``: proposes what to erase or to weigh less, and erases it if told to."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import click
from rich.console import Group, RenderableType

from unlearn.v1.valuation_pb2 import Derivative
from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.erasures import exit_with
from unlearn_client.cli.reports import erasure_report, listing
from unlearn_client.cli.teaching import Command
from unlearn_client.cli.valuation_reports import preview_report
from unlearn_client.cli.value import OBJECTIVES, objective_option
from unlearn_client.selection import Selection

STEP = 0.1
"""How far the weight with the largest derivative moves (Golatkar et al., DIVA, ICLR 2022)."""

LARGEST_ERASURE = 10_000
"""Samples that one erasure may name."""

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
unlearn --json curate pets --epsilon 50
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
@click.option("--apply", "applies", is_flag=True, help="Erase those; else nothing is changed.")
@click.option("--yes", is_flag=True, help="Do not ask before --apply.")
@pass_app
def curate(app: App, model: str, objective: str, epsilon: float, applies: bool, yes: bool) -> None:
    """Propose which samples of MODEL to erase, and which of the others to weigh less or more.

    At most 10,000 are erased at a time, by an erasure like any other: certified, and for good.
    CORE samples are never among them. A model weighs all its samples the same, so other
    weights are for whoever trains elsewhere: one step of at most 0.1.
    """
    client = app.client()
    with app.progress("Leaving out"):
        values = list(client.differentiate_dataset(model, OBJECTIVES[objective]))
    erased = [v for v in values if v.derivative > epsilon and not v.core][:LARGEST_ERASURE]
    proposals = propose(values, {value.id for value in erased})
    selection = Selection.samples(value.id for value in erased)
    app.show_all(map(Proposal._asdict, proposals), _listing)
    if erased:
        seen = client.preview_erasure(model, selection)
        app.show(seen, preview_report(seen))
    if applies and erased:
        if not yes:
            click.confirm(f"Erase {len(erased)} samples for good?", abort=True, err=True)
        with app.progress("Erasing"):
            accepted = client.create_erasure(selection, [model])
            erasure = client.wait_for_erasure(accepted.name)
        app.show(erasure, erasure_report(erasure))
        exit_with(erasure)


def propose(values: Sequence[Derivative], erased: Iterable[str]) -> list[Proposal]:
    """A step down the gradient for each sample, and weight 0 for those to erase."""
    largest = max((abs(value.derivative) for value in values), default=0.0) or 1.0
    weights = {value.id: 1 - STEP * value.derivative / largest for value in values}
    weights |= dict.fromkeys(erased, 0.0)
    return [Proposal(value.id, value.derivative, weights[value.id]) for value in values]


def _listing(proposals: Iterable[dict[str, Any]]) -> RenderableType:
    found = [Proposal(**each) for each in proposals]
    count = sum(not proposal.weight for proposal in found)
    rows = (
        (p.sample, f"{p.derivative:.4g}", f"{p.weight:.3f}" if p.weight else "erase")
        for p in found[:SHOWN]
    )
    table = listing(["Sample", "Derivative", "Proposed weight"], rows)
    return Group(f"{count} of {len(found)} samples to erase, the most harmful first:", table)
