"""The story as a table, with what is not promised below it."""

from rich.console import Console
from rich.table import Table
from rich.text import Text
from story import Step, Story

HEX_DIGITS = 12
"""Enough of a commitment for the eye; all of it was compared."""


def show(console: Console, story: Story, unseen: int) -> None:
    """Prints what was done, what it shows and what it does not promise."""
    console.print()
    console.print(_table(story, unseen))
    console.print(_verdict(story))
    console.print(_not_promised(story))


def _table(story: Story, unseen: int) -> Table:
    table = Table(title="Machine unlearning, checked", show_lines=True, title_style="bold")
    table.add_column("step", ratio=3)
    table.add_column("samples\nheld", justify="right")
    table.add_column(f"accuracy on {unseen}\nunseen digits", justify="right")
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("evidence", ratio=4)
    for number, step in enumerate(story.steps, 1):
        table.add_row(
            f"{number}. {step.title}",
            f"{step.look.samples:,}",
            f"{step.look.hits / unseen:.1%}",
            f"{step.seconds:.2f} s",
            _evidence(step),
        )
    return table


def _evidence(step: Step) -> Text:
    lines = [
        Text(f"state   {step.look.state.hex()[:HEX_DIGITS]}…", "cyan"),
        Text(f"weights {step.look.weights.hex()[:HEX_DIGITS]}…", "cyan"),
    ]
    for claim in step.claims:
        mark = Text("✓ ", "green") if claim.holds else Text("✗ NOT ", "bold red")
        lines.append(mark + Text(claim.words))
    return Text("\n").join(lines)


def _verdict(story: Story) -> Text:
    count = sum(len(step.claims) for step in story.steps)
    if story.failed:
        return Text(f"{len(story.failed)} of {count} claims FAILED", "bold red")
    return Text(
        f"All {count} claims hold: the model that forgot is, bit for bit, "
        "the model that never knew.",
        "bold green",
    )


def _not_promised(story: Story) -> Text:
    text = Text.assemble(
        ("Not promised: ", "bold yellow"),
        "who holds the releases before and after an erasure can difference them, and learn "
        f"about the {story.cohort} people they differ by (bound on that: {story.differencing:g} "
        "mu-GDP). Here the old release is destroyed, but a copy taken before is not. Answers "
        "already given are out too.\n",
        ("About the data: ", "bold"),
        "scikit-learn's digits are real; who wrote which is not known, so 120 people are "
        "assigned ten each.",
    )
    return text
