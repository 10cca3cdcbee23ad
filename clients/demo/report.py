"""The story as a table, with what is not promised below it."""

from collections.abc import Sequence
from math import isinf

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from story import Claim, Look, Story

HEX_DIGITS = 8
"""Enough of a commitment for the eye; all of it was compared."""


def show(console: Console, story: Story, unseen: int) -> None:
    """Prints what was done, what it shows and what it does not promise."""
    console.print()
    console.print(_table(story, unseen))
    console.print(_verdict(story))
    console.print()
    console.print(_notes(story))


def _table(story: Story, unseen: int) -> Table:
    table = Table(box=box.HORIZONTALS, show_lines=True, pad_edge=False)
    table.add_column("step")
    table.add_column("samples\nheld", justify="right")
    table.add_column(f"accuracy\non {unseen}\nunseen\ndigits", justify="right")
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("evidence", no_wrap=True)
    for number, step in enumerate(story.steps, 1):
        table.add_row(
            f"{number}. {step.title}",
            f"{step.look.samples:,}",
            f"{step.look.hits / unseen:.1%}",
            f"{step.seconds:.2f} s",
            _evidence(step.look, step.claims),
        )
    return table


def _evidence(look: Look, claims: Sequence[Claim]) -> Text:
    state, weights = (c.hex()[:HEX_DIGITS] for c in (look.state, look.weights))
    lines = [Text.assemble("state ", (state, "cyan"), "  weights ", (weights, "cyan"))]
    for claim in claims:
        mark = Text("✓ ", "green") if claim.holds else Text("✗ NOT ", "bold red")
        lines.append(mark + Text(claim.words))
    return Text("\n").join(lines)


def _verdict(story: Story) -> Text:
    count = sum(len(step.claims) for step in story.steps)
    if story.failed:
        return Text(f"{len(story.failed)} of {count} claims FAILED.", "bold red")
    return Text(
        f"All {count} claims hold: the model that forgot is, bit for bit, one that never knew.",
        "bold green",
    )


def _notes(story: Story) -> Text:
    bound = "none" if isinf(story.differencing) else f"{story.differencing:g}-GDP"
    return Text.assemble(
        ("Evidence: ", "bold"),
        f"the first {HEX_DIGITS} of 64 hex digits of each commitment (HMAC-SHA256), all made "
        "under one salt so that they can be compared.\n",
        ("People: ", "bold"),
        "the digits are real (scikit-learn's, in their own order). The data set does not say who "
        "wrote which, so 120 people are assigned ten in a row.\n",
        ("Not promised: ", "bold yellow"),
        "who holds the releases from before and after an erasure can difference them, and so "
        f"learn about the {story.cohort} people they differ by (bound on that: {bound}). The "
        "server destroys the old release, but no copy of it. Nor are answers already given "
        "taken back.",
    )
