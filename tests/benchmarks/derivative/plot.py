"""Wrong labels told, errors after removals and losses after additions, as a picture."""

from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.benchmarks.derivative.detection import CALIBRATED, HELD_OUT, LEARNING, NEIGHBOURS, OWN
from tests.benchmarks.derivative.fits import Test
from tests.benchmarks.derivative.removal import FRACTIONS, RANDOM
from tests.benchmarks.derivative.report import Report
from tests.benchmarks.style import MUTED, OURS, STYLE

THEIRS = "#9ca3af"
LINES = {
    CALIBRATED: (OURS, "o-"),
    OWN: ("#56b4e9", "o--"),
    HELD_OUT: ("#009e73", "o:"),
    NEIGHBOURS: ("#d55e00", "s-"),
    LEARNING: ("#cc79a7", "s--"),
    RANDOM: (THEIRS, "s:"),
}
"""Of the methods whose removals are drawn."""


def save(report: Report, path: Path) -> None:
    """A row for each data set: AUC of each method, removals, and losses against samples added."""
    with rc_context(STYLE):
        figure = Figure(figsize=(19, 4.2 * len(report.detections)), layout="constrained")
        panels = figure.subplots(len(report.detections), 4, squeeze=False)
        for row, name in zip(panels, report.detections, strict=True):
            _draw_scores(row[0], report, name)
            _draw_removals(row[1], report, name)
            for axes, (words, one) in zip(row[2:], report.extensions[name].items(), strict=True):
                k = list(one.by_derivative)
                uniform = [Test.mean(one.uniform[i]).loss for i in k]
                axes.plot(k, [one.by_derivative[i].loss for i in k], "o-", color=OURS)
                axes.plot(k, uniform, "s--", color=THEIRS)
                axes.set_title(f"{name}, {words}", fontsize=10)
                axes.set_xlabel("samples added: by derivative (blue), uniformly (gray)")
                axes.set_ylabel("test loss")
        figure.savefig(path, metadata={"Date": None})


def _draw_scores(axes: Axes, report: Report, name: str) -> None:
    detection = report.detections[name]
    scores = [detection.mean(method) for method in detection.scores]
    axes.barh(list(detection.scores), [score.auc for score in scores], color=OURS)
    for place, score in enumerate(scores):
        axes.text(score.auc, place, f" F1 {score.f1:.2f}", va="center", color=MUTED)
    axes.set_xlim(0.8, 1.05)
    axes.invert_yaxis()
    axes.set_xlabel("AUC of telling wrong labels")
    axes.set_title(name, fontsize=10)


def _draw_removals(axes: Axes, report: Report, name: str) -> None:
    tests = report.removals[name].tests
    for method, (color, line) in LINES.items():
        errors = [test.error for test in tests[method]]
        axes.plot(FRACTIONS, errors, line, color=color, label=method, markersize=4)
    axes.set_xlabel("fraction removed, the likeliest wrong first")
    axes.set_ylabel("test error")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, frameon=False)
    axes.set_title(f"{name}, 20 % wrong labels", fontsize=10)
