"""How well wrong labels are told, and what added samples are good for, as a picture."""

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.benchmarks.derivative.report import Report
from tests.benchmarks.plots import MUTED, STYLE

OURS, THEIRS = "#0072b2", "#9ca3af"


def save(report: Report, path: Path) -> None:
    """A row for each data set: AUC of each method, and losses against samples added."""
    with rc_context(STYLE):
        figure = Figure(figsize=(12, 3.2 * len(report.detections)), layout="constrained")
        panels = figure.subplots(len(report.detections), 3, squeeze=False)
        for row, name in zip(panels, report.detections, strict=True):
            _draw_scores(row[0], report, name)
            for axes, (words, one) in zip(row[1:], report.extensions[name].items(), strict=True):
                k = list(one.by_derivative)
                uniform = [[each.loss for each in one.uniform[i]] for i in k]
                axes.plot(k, [one.by_derivative[i].loss for i in k], "o-", color=OURS)
                axes.plot(k, np.mean(uniform, axis=1), "s--", color=THEIRS)
                axes.set_title(f"{name}, {words}", loc="left", fontsize=10)
                axes.set_xlabel("samples added: by derivative (blue), uniformly (gray)")
                axes.set_ylabel("test loss")
        figure.savefig(path, metadata={"Date": None})


def _draw_scores(axes: Axes, report: Report, name: str) -> None:
    scores = report.detections[name].scores
    axes.barh(list(scores), [score.auc for score in scores.values()], color=OURS)
    for place, score in enumerate(scores.values()):
        axes.text(score.auc, place, f" F1 {score.f1:.2f}", va="center", color=MUTED)
    axes.set_xlim(0.8, 1.05)
    axes.invert_yaxis()
    axes.set_xlabel("AUC of telling wrong labels")
    axes.set_title(name, loc="left", fontsize=10)
