"""The measurements as pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from tests.benchmarks.labels import place
from tests.benchmarks.roofline import Roofline
from tests.benchmarks.style import MUTED, OURS, REFIT, STYLE
from tests.benchmarks.sweeps import Sweep
from tests.benchmarks.words import duration


def save_sweeps(sweeps: Sequence[Sweep], path: Path) -> None:
    """Four panels: an erasure and a refit against each size."""
    with rc_context(STYLE):
        figure = Figure(figsize=(10, 7.6), layout="constrained")
        figure.suptitle(
            "An erasure in the engine, proven, beside a Ridge refit of what remains",
            x=0.01,
            ha="left",
            fontsize=14,
            fontweight="bold",
        )
        panels = figure.subplots(2, 2, sharey=True)
        for axes, sweep in zip(panels.flat, sweeps, strict=True):
            _draw_sweep(axes, sweep)
        for axes in panels[:, 0]:
            axes.set_ylabel("median time")
        figure.savefig(path, metadata={"Date": None})


def _draw_sweep(axes: Axes, sweep: Sweep) -> None:
    sizes = [point.size for point in sweep.points]
    refit = [point.refit.seconds for point in sweep.points]
    erase = [point.erase.seconds for point in sweep.points]
    axes.plot(sizes, refit, color=REFIT, marker="s", linestyle="--")
    axes.plot(sizes, erase, color=OURS, marker="o")
    axes.set(xscale="log", yscale="log", xlabel=sweep.swept)
    axes.set_title(f"Against the {sweep.swept}\n{sweep.held}", fontsize=10.5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: duration(seconds)))
    _mark_sizes(axes, sizes)
    lines = [(refit[-1], "Ridge refit", REFIT), (erase[-1], "erasure", OURS)]
    # Each label keeps to its side of the other line, however close they are.
    for anchor, (seconds, words, color) in zip(("top", "bottom"), sorted(lines), strict=True):
        axes.annotate(
            f"{words}\n{duration(seconds)}",
            (sizes[-1], seconds),
            xytext=(8, 0),
            textcoords="offset points",
            color=color,
            fontweight="bold",
            va=anchor,
        )
    reach = sizes[-1] / sizes[0]
    axes.set_xlim(sizes[0] * reach**-0.06, sizes[-1] * reach**0.3)


def _mark_sizes(axes: Axes, sizes: Sequence[int]) -> None:
    """Ticks at what was measured, unless they would touch."""
    apart = (sizes[-1] / sizes[0]) ** 0.14
    ticks: list[int] = []
    for size in reversed(sizes):
        if not ticks or ticks[-1] / size > apart:
            ticks.append(size)
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def save_roofline(roofline: Roofline, path: Path) -> None:
    """The passes of an erasure under the machine's roofs."""
    with rc_context(STYLE):
        figure = Figure(figsize=(10, 6), layout="constrained")
        axes = figure.subplots()
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="arithmetic intensity: operations for each byte of the triangle",
            ylabel="10⁹ operations a second",
        )
        axes.set_title(
            "The passes of an erasure over its matrix, and what this machine can do",
            fontsize=14,
            fontweight="bold",
            pad=14,
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        roofs = _draw_roofs(axes, roofline)
        words = {
            f"{one.words}, {duration(one.time.seconds)}": (one.intensity, one.rate / 1e9)
            for one in roofline.passes
        }
        axes.plot(*zip(*words.values(), strict=True), "o", color=OURS, markersize=8)
        place(figure, axes, words.items(), roofs, OURS)
        figure.savefig(path, metadata={"Date": None})


def _draw_roofs(axes: Axes, roofline: Roofline) -> list[NDArray[np.float64]]:
    """Draws them, and returns their vertices."""
    intensities = [one.intensity for one in roofline.passes]
    span = np.geomspace(min(intensities) / 10, max(intensities) * 15, 300)
    roofs = []
    for bandwidth, words, style, ha, va, dx in (
        (roofline.cache, "read from cache", "-", "right", "bottom", -6),
        (roofline.memory, "copied in memory", "--", "left", "top", 6),
    ):
        roof = np.minimum(span * bandwidth, roofline.peak) / 1e9
        roofs.append(np.column_stack([span, roof]))
        axes.plot(span, roof, color=MUTED, linestyle=style)
        axes.annotate(
            f"{words}: {bandwidth / 1e9:.0f} GB/s",
            roofs[-1][75],
            xytext=(dx, 0),
            textcoords="offset points",
            color=MUTED,
            ha=ha,
            va=va,
        )
    axes.annotate(
        f"dgemm: {roofline.peak / 1e9:.0f} · 10⁹ a second",
        roofs[-1][-1],
        xytext=(0, 5),
        textcoords="offset points",
        color=MUTED,
        ha="right",
    )
    return roofs
