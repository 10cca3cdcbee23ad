"""Few-shot accuracies and the pay-off as a picture."""

from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.benchmarks.pretraining import payoff
from tests.benchmarks.pretraining.few_shot import START
from tests.benchmarks.pretraining.plans import CIDS, CONTRAST, CROSS_ENTROPY
from tests.benchmarks.pretraining.report import Report
from tests.benchmarks.style import MUTED, OURS, PALE, REFIT, STYLE

_METHODS = {CIDS: OURS, CONTRAST: "#56b4e9", CROSS_ENTROPY: REFIT, START: PALE}
_MOMENTS = {payoff.BEFORE: OURS, payoff.HALF: "#56b4e9", payoff.ZERO: REFIT}


def save(report: Report, path: Path) -> None:
    """Above, a group of bars for each task and number of shots; below, for each core."""
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 4 + 2.6 * len(report.payoff)), layout="constrained")
        heights = [1.6, *[1.0] * len(report.payoff)]
        panels = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        _draw_few_shot(panels[0], report)
        for axes, (task, cores) in zip(panels[1:], report.payoff.items(), strict=True):
            groups = {core: {m: found[m] for m in _MOMENTS} for core, found in cores.items()}
            _bars(axes, groups, _MOMENTS)
            axes.set_title(f"FEATURES on {task}: accuracy before and after erasures, %")
        figure.savefig(path, metadata={"Date": None})


def _draw_few_shot(axes: Axes, report: Report) -> None:
    groups = {
        fill(task, 16): each["accuracy"]
        for found in report.few_shot.values()
        for task, each in found["tasks"].items()
    }
    _bars(axes, groups, _METHODS)
    axes.tick_params(axis="x", labelsize=6)
    axes.set_title("5-way accuracy on new classes, %")


def _bars(
    axes: Axes, groups: dict[str, dict[str, dict[str, float]]], colors: dict[str, str]
) -> None:
    places, width = np.arange(len(groups)), 0.8 / len(colors)
    for i, (name, color) in enumerate(colors.items()):
        means = [100 * group[name]["mean"] for group in groups.values()]
        halves = [100 * group[name]["half"] for group in groups.values()]
        left = places + (i - (len(colors) - 1) / 2) * width
        axes.bar(left, means, width, yerr=halves, color=color, label=name, ecolor=MUTED)
    axes.set_xticks(places, list(groups), fontsize=8)
    axes.set_axisbelow(True)
    axes.grid(axis="x", visible=False)
    axes.legend(ncols=len(colors), fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.2))
