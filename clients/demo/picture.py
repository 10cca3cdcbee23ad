"""The story as a picture: what forgetting costs, and what it does to the forgotten."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from digits import PEOPLE_TO_FORGET, SAMPLES_OF_A_PERSON, DigitSet
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray
from PIL import Image
from story import Step, Story

INK, MUTED, PALE = "#1f2937", "#6b7280", "#d1d5db"
BEFORE, AFTER, ZERO = "#2563eb", "#047857", "#c2410c"
STYLE: Any = {  # matplotlib types it by every setting there is
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": PALE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "savefig.dpi": 150,
}
TAUGHT = 15
"""The score that a digit's own class is taught with; the nine others are taught 0."""

BARS = (
    ("Everyone", BEFORE),
    ("Three people erased", AFTER),
    ("Retrained, never saw the three", AFTER),
    ("Every user erased (ZERO), CORE left", ZERO),
)
"""Words and color of steps 1 to 4; the fifth is the fourth, to the bit."""

PANELS = (("before", 0, BEFORE), ("three people erased", 1, AFTER), ("every user erased", 3, ZERO))
"""Words, step and color of the scores shown of each erased digit."""


def draw(story: Story, digits: DigitSet) -> Figure:
    """The picture of a story all of whose claims hold."""
    with rc_context(STYLE):
        figure = Figure(figsize=(13, 7), facecolor="white")
        rows = figure.subfigures(3, 1, squeeze=False, height_ratios=[0.9, 5.5, 0.6])
        head, body, foot = rows.flat
        left, right = body.subfigures(1, 2, width_ratios=[5.3, 8])
        _write_headline(head)
        _draw_accuracy(left, story, len(digits.unseen))
        _draw_scores(right, story, digits)
        _write_footnote(foot, story, digits)
    return figure


def _write_headline(part: SubFigure) -> None:
    words = "The model that forgot three people is, bit for bit, one that never saw them"
    part.text(0.022, 0.5, words, fontsize=19, fontweight="bold", va="center")


def _write_footnote(part: SubFigure, story: Story, digits: DigitSet) -> None:
    words = (
        f"scikit-learn's digits, on features of efficientnet-lite0: {len(digits.core)} CORE "
        f"images, {len(digits.users):,} of 120 assigned people, the last {len(digits.unseen)} "
        "unseen. Right: of each person erased, the image whose own\nscore the erasure moved most; "
        f"a digit's own score is taught as {TAUGHT}, the others as 0. Not promised: who kept the "
        f"release from before can difference the two, and learn about those {story.cohort} people."
    )
    part.text(0.022, 0.55, words, fontsize=9.5, color=MUTED, va="center", linespacing=1.5)


def _write_title(part: SubFigure, x: float, title: str, below: str) -> None:
    part.text(x, 0.985, title, fontsize=13.5, fontweight="bold", va="top")
    part.text(x, 0.92, below, fontsize=11, color=MUTED, va="top")


def _draw_accuracy(part: SubFigure, story: Story, unseen: int) -> None:
    percents = [100 * step.look.hits / unseen for step in story.steps]
    title = f"Accuracy: {percents[0]:.1f} % before, {percents[1]:.1f} % after"
    _write_title(part, 0.057, title, f"how many of {unseen} unseen digits are read right")
    axes = part.add_axes((0.057, 0.04, 0.74, 0.8))
    for place, ((words, color), step) in enumerate(zip(BARS, story.steps, strict=False)):
        _draw_bar(axes, place, f"{words} · {step.look.samples:,} images", percents[place], color)
    axes.set(xlim=(0, 100), ylim=(3.4, -0.6))
    axes.set_axis_off()
    _draw_bracket(axes, 1, 2, "the same,\nbit for bit")


def _draw_bar(axes: Axes, place: int, words: str, percent: float, color: str) -> None:
    axes.barh(place, 100, color=PALE, alpha=0.35, height=0.46)
    axes.barh(place, percent, color=color, height=0.46)
    axes.text(0, place - 0.36, words, va="center")
    axes.text(
        percent - 2,
        place,
        f"{percent:.1f} %",
        color="white",
        fontsize=14,
        fontweight="bold",
        ha="right",
        va="center",
    )


def _draw_bracket(axes: Axes, first: int, last: int, words: str) -> None:
    axes.plot([102, 104, 104, 102], [first, first, last, last], color=AFTER, lw=2, clip_on=False)
    middle = (first + last) / 2
    axes.text(106, middle, words, color=AFTER, fontweight="bold", va="center", linespacing=1.3)


def _draw_scores(part: SubFigure, story: Story, digits: DigitSet) -> None:
    steps = [story.steps[number] for _, number, _ in PANELS]
    right = [_read_right(step, digits) for step in steps]
    title = f"{right[1]} of the {len(digits.erased)} erased images are still read right"
    below = "because of what others taught; but their scores move. One image of each person:"
    _write_title(part, 0.03, title, below)
    chosen = most_moved(steps[0], steps[1], digits.erased.labels)
    rows = part.subplots(
        len(chosen),
        1 + len(PANELS),
        width_ratios=[0.5, 1, 1, 1],
        gridspec_kw={
            "left": 0.03,
            "right": 0.985,
            "top": 0.79,
            "bottom": 0.075,
            "hspace": 0.32,
            "wspace": 0.1,
        },
    )
    for row, image in zip(rows, chosen, strict=True):
        _draw_image(row[0], digits.erased.images[image])
        own = int(digits.erased.labels[image])
        for axes, step, (_, _, color) in zip(row[1:], steps, PANELS, strict=True):
            _draw_one(axes, step.look.erased[image], own, color)
    for axes, (words, _, color) in zip(rows[0, 1:], PANELS, strict=True):
        axes.set_title(words, color=color, fontweight="bold", fontsize=11.5, pad=9)


def _read_right(step: Step, digits: DigitSet) -> int:
    return int((step.look.erased.argmax(axis=1) == digits.erased.labels).sum())


def most_moved(before: Step, after: Step, labels: NDArray[np.int64]) -> Sequence[int]:
    """Of each erased person, the image whose score for the digit it shows moved most."""
    moved = np.abs(before.look.erased - after.look.erased)[np.arange(len(labels)), labels]
    by_person = moved.reshape(PEOPLE_TO_FORGET, SAMPLES_OF_A_PERSON)
    first = SAMPLES_OF_A_PERSON * np.arange(PEOPLE_TO_FORGET)
    return [int(image) for image in first + by_person.argmax(axis=1)]


def _draw_image(axes: Axes, png: bytes) -> None:
    axes.imshow(np.asarray(Image.open(io.BytesIO(png))), cmap="gray_r")
    axes.set_axis_off()


def _draw_one(axes: Axes, scores: NDArray[np.float32], own: int, color: str) -> None:
    """Ten scores; that of the digit shown in color, with its value."""
    places = np.arange(len(scores))
    axes.bar(places, scores, color=np.where(places == own, color, PALE), width=0.78)
    axes.axhline(0, color=MUTED, lw=0.8)
    axes.text(
        own, scores[own] + 0.6, f"{scores[own]:.1f}", color=color, fontweight="bold", ha="center"
    )
    axes.set(ylim=(-5, 17), yticks=[], xticks=places)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.get_xticklabels()[own].set(color=color, fontweight="bold")
