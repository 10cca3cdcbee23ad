"""The long load as a picture."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tests.benchmarks.style import INK, MUTED, OURS, REFIT, STYLE
from tests.benchmarks.sustained.measuring import Measured
from tests.benchmarks.words import duration

_ROWS = ("calls a second", "until the answer", "memory, MB", "waiting")


def save(measured: Mapping[str, Measured], path: Path) -> None:
    """A column for each database; rows as above, over the seconds of the load."""
    with rc_context({**STYLE, "font.size": 9, "lines.linewidth": 1.2}):
        figure = Figure(figsize=(11, 8), layout="constrained")
        figure.suptitle(
            "Below the peak, at three times the peak, and after",
            x=0.01,
            ha="left",
            fontsize=14,
            fontweight="bold",
        )
        panels = figure.subplots(
            len(_ROWS), len(measured), sharex="col", sharey="row", squeeze=False
        )
        for column, (database, each) in zip(panels.T, measured.items(), strict=True):
            _draw(column, each)
            column[0].set_title(database)
            column[-1].set_xlabel("seconds")
        for axes, label in zip(panels[:, 0], _ROWS, strict=True):
            axes.set_ylabel(label)
        for axes in panels[:, -1]:
            if axes.get_legend_handles_labels()[0]:
                axes.legend(frameon=False, loc="best")
        figure.savefig(path, metadata={"Date": None})


def _draw(panels: list[Axes], measured: Measured) -> None:
    calls, latencies, memory, waiting = panels
    course = measured.course
    seconds = [each.second for each in course]
    calls.plot(seconds, [each.due for each in course], color=MUTED, label="due")
    calls.plot(seconds, [each.ok for each in course], color=OURS, label="answered OK")
    latencies.plot(seconds, [each.p50 for each in course], color=OURS, label="median")
    latencies.plot(seconds, [each.p99 for each in course], color=REFIT, label="99 of 100")
    latencies.set_yscale("log")
    latencies.yaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    memory.plot(
        [each.seconds for each in measured.memory],
        [each.size / 1e6 for each in measured.memory],
        color=INK,
    )
    memory.set_ylim(bottom=0)
    waiting.plot(seconds, [each.waiting for each in course], color=OURS, label="calls")
    waiting.plot(seconds, [each.open for each in course], color=REFIT, label="open erasures")
    waiting.set_yscale("symlog")
