"""The story as a picture: what forgetting costs, and what it does to the forgotten."""

import io
from collections.abc import Sequence

import numpy as np
from digits import PEOPLE_TO_FORGET, SAMPLES_OF_A_PERSON, DigitSet
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray
from PIL import Image
from story import Story

INK, MUTED, PALE = "#1f2937", "#6b7280", "#d1d5db"
BEFORE, AFTER, ZERO = "#2563eb", "#059669", "#d97706"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": PALE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "savefig.dpi": 150,
}

BARS = (
    ("taught by everyone", BEFORE),
    ("three people forgotten", AFTER),
    ("never saw the three", AFTER),
    ("every user forgotten", ZERO),
)
"""Steps 1 to 4; the fifth is the fourth, to the bit."""

PANELS = (("before", 0, BEFORE), ("after the erasure", 1, AFTER), ("after ZERO", 3, ZERO))
"""Heading, step and color of the scores shown of each erased digit."""


def draw(story: Story, digits: DigitSet) -> Figure:
    """The picture of a story all of whose claims hold."""
    with rc_context(STYLE):
        figure = Figure(figsize=(13, 6.6), facecolor="white")
        head, body, foot = figure.subfigures(3, 1, height_ratios=[0.9, 5.2, 0.5])
        _headline(head)
        left, right = body.subfigures(1, 2, width_ratios=[4.6, 8])
        _draw_accuracy(left, story, len(digits.unseen))
        _draw_scores(right, story, digits)
        _footnote(foot, len(digits.unseen))
    return figure


def _headline(part: SubFigure) -> None:
    part.text(
        0.02,
        0.62,
        "A model that forgot three people is, bit for bit, the model that never saw them",
        fontsize=18,
        fontweight="bold",
        va="center",
    )


def _footnote(part: SubFigure, unseen: int) -> None:
    words = (
        "scikit-learn digits on efficientnet-lite0 features: 300 CORE images, 1,200 of 120 "
        f"assigned people, {unseen} unseen. Shown: of each erased person, the digit whose own "
        "score the erasure moved most."
    )
    part.text(0.02, 0.5, words, fontsize=9, color=MUTED, va="center")


def _draw_accuracy(part: SubFigure, story: Story, unseen: int) -> None:
    part.text(0.045, 0.965, "Accuracy on unseen digits", fontsize=13, fontweight="bold", va="top")
    axes = part.add_axes((0.06, 0.08, 0.92, 0.76))
    for place, ((words, color), step) in enumerate(zip(BARS, story.steps, strict=False)):
        accuracy = 100 * step.look.hits / unseen
        axes.barh(place, accuracy, color=color, height=0.5)
        axes.text(0, place - 0.36, f"{words}  ({step.look.samples:,} images)", va="center")
        axes.text(
            accuracy - 2, place, f"{accuracy:.1f} %", color="white", fontweight="bold",
            fontsize=13, ha="right", va="center",
        )
    axes.set(xlim=(0, 100), ylim=(3.4, -0.6), yticks=[])
    axes.spines["left"].set_visible(False)


def _draw_scores(part: SubFigure, story: Story, digits: DigitSet) -> None:
    part.text(0.03, 0.965, "Scores of three erased digits", fontsize=13, fontweight="bold", va="top")
    scores = [story.steps[step].look.erased for _, step, _ in PANELS]
    chosen = most_moved(scores[0], scores[1], digits.erased.labels)
    grid = part.add_gridspec(
        len(chosen), 1 + len(PANELS), width_ratios=[0.6, 1, 1, 1],
        left=0.03, right=0.985, top=0.83, bottom=0.09, hspace=0.35, wspace=0.12,
    )
    for row, digit in enumerate(chosen):
        _draw_image(part.add_subplot(grid[row, 0]), digits.erased.images[digit])
        for column, (_, _, color) in enumerate(PANELS):
            axes = part.add_subplot(grid[row, 1 + column])
            _draw_bars(axes, scores[column][digit], color)
            if row == 0:
                axes.set_title(PANELS[column][0], color=color, fontweight="bold", fontsize=11)


def most_moved(
    before: NDArray[np.float32], after: NDArray[np.float32], labels: NDArray[np.int64]
) -> Sequence[int]:
    """Of each erased person, the digit whose score for what it shows changed most."""
    rows = np.arange(len(labels))
    moved = np.abs(before - after)[rows, labels].reshape(PEOPLE_TO_FORGET, SAMPLES_OF_A_PERSON)
    return [int(i) for i in moved.argmax(axis=1) + SAMPLES_OF_A_PERSON * np.arange(len(moved))]


def _draw_image(axes: Axes, png: bytes) -> None:
    axes.imshow(np.asarray(Image.open(io.BytesIO(png))), cmap="gray_r")
    axes.set_axis_off()


def _draw_bars(axes: Axes, scores: NDArray[np.float32], color: str) -> None:
    """Ten scores, the winner in color."""
    winner = int(scores.argmax())
    colors = [color if digit == winner else PALE for digit in range(len(scores))]
    axes.bar(range(len(scores)), scores, color=colors)
    axes.set(ylim=(-6, 16), yticks=[0, 15], xticks=range(len(scores)))
