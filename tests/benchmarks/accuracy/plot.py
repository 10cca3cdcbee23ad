"""Errors and their relative increases as a picture."""

from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from tests.benchmarks.accuracy.page import LAST_LAYER, LQF
from tests.benchmarks.accuracy.results import BASELINE, Report
from tests.benchmarks.style import INK, MUTED, STYLE

# Okabe and Ito's colours, in the order of the methods.
COLORS = ("#1f2937", "#0072b2", "#56b4e9", "#d55e00", "#009e73", "#cc79a7")
MARKERS = "DoovsP"
APART = 0.13
"""Of a task's line, between methods."""


def save(report: Report, path: Path) -> None:
    """Two panels with a line for each task: test errors, and their increase over fine-tuning."""
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 1.8 + 0.5 * len(report.rows)), layout="constrained")
        figure.suptitle(
            "Test error, and its relative increase over fine-tuning",
            x=0.01,
            ha="left",
            fontsize=14,
            fontweight="bold",
        )
        errors, increases = figure.subplots(1, 2, sharey=True)
        _draw_errors(errors, report)
        _draw_increases(increases, report)
        errors.set_yticks(range(len(report.rows)), [row.words for row in report.rows])
        errors.invert_yaxis()
        figure.legend(
            *errors.get_legend_handles_labels(),
            loc="outside lower left",
            ncols=len(report.methods),
            frameon=False,
        )
        figure.savefig(path, metadata={"Date": None})


def _draw_errors(axes: Axes, report: Report) -> None:
    for place, (method, color, marker) in enumerate(
        zip(report.methods, COLORS, MARKERS, strict=False)
    ):
        lines = [(i, row) for i, row in enumerate(report.rows) if method in row.cells]
        axes.errorbar(
            [100 * row.cells[method].error for _, row in lines],
            [i + _offset(report, place) for i, _ in lines],
            xerr=[100 * row.half_width(method) for _, row in lines],
            fmt=marker,
            color=color,
            markersize=5,
            elinewidth=1,
            label=method,
        )
    axes.set(xscale="log", xlabel="test error in %")
    axes.set_xticks([1, 2, 5, 10, 20, 50])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_increases(axes: Axes, report: Report) -> None:
    for place, (method, color, marker) in enumerate(
        zip(report.methods, COLORS, MARKERS, strict=False)
    ):
        if method == BASELINE:
            continue
        found = {i: row.increase(method) for i, row in enumerate(report.rows)}
        known = {i: 100 * increase for i, increase in found.items() if increase is not None}
        places = [i + _offset(report, place) for i in known]
        axes.plot(list(known.values()), places, marker, color=color, markersize=5)
    axes.axvline(0, color=INK, linewidth=1.5)
    for value, words in ((LQF, "LQF's median"), (LAST_LAYER, "last layer's")):
        axes.axvline(100 * value, color=MUTED, linewidth=1, linestyle="--")
        axes.annotate(
            f"{words}\n{value:.0%}, published",
            (100 * value, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, 2),
            textcoords="offset points",
            fontsize=8,
            color=MUTED,
        )
    # Linear near zero, logarithmic beyond: the last layer is several times as wrong on digits.
    axes.set_xscale("symlog", linthresh=100)
    axes.set_xticks([-100, -50, 0, 50, 100, 200, 500])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("relative increase over fine-tuning in %")


def _offset(report: Report, place: int) -> float:
    return APART * (place - (len(report.methods) - 1) / 2)
