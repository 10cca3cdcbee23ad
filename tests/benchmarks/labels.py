"""Words beside points, where there is room for them."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

_PLACES = (
    ("left", "center", 1, 0),
    ("right", "center", -1, 0),
    ("left", "top", 1, -1),
    ("right", "top", -1, -1),
    ("left", "bottom", 1, 1),
    ("right", "bottom", -1, 1),
)
"""Alignments, and in which direction the words then lie."""

_DISTANCE = 9


def place(
    figure: Figure,
    axes: Axes,
    words: Iterable[tuple[str, tuple[float, float]]],
    lines: Iterable[NDArray[np.float64]],
    color: str,
) -> None:
    """Writes each beside its point, in the first place that touches nothing, if there is one.

    Args:
        figure: what they are drawn on; all else must stand on it.
        axes: where the points are.
        words: with their points.
        lines: vertices (k, 2) that words keep off.
        color: of the words.
    """
    figure.draw_without_rendering()
    words = list(words)
    points = np.array([at for _, at in words])
    off = axes.transData.transform(np.vstack([points, *lines]))
    taken = [text.get_window_extent() for text in axes.texts]

    def has_room(box: Bbox) -> bool:
        inside = axes.bbox.contains(*box.min) and axes.bbox.contains(*box.max)
        return inside and not box.count_contains(off) and not box.count_overlaps(taken)

    for word, at in words:
        for ha, va, dx, dy in _PLACES:
            note = _write(axes, word, at, ha, va, (_DISTANCE * dx, _DISTANCE * dy), color)
            box = note.get_window_extent()
            if has_room(box):
                break
            note.remove()
        else:
            note = _write(axes, word, at, "left", "center", (_DISTANCE, 0), color)
        taken.append(note.get_window_extent())


def _write(
    axes: Axes,
    words: str,
    at: tuple[float, float],
    ha: str,
    va: str,
    offset: tuple[float, float],
    color: str,
) -> Annotation:
    return axes.annotate(
        words, at, xytext=offset, textcoords="offset points", ha=ha, va=va, color=color
    )
