"""The read-outs as a picture, as in Fig. 3 of the mixed-privacy paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.benchmarks.style import MUTED, OURS, PALE, REFIT, STYLE
from unlearning.readouts.result import ReadOut, ReadOuts

PANELS = {
    "error, erased": "Error on erased samples",
    "error, retained": "Error on retained samples",
    "error, test": "Error on test samples",
    "activation distance, erased": "Activation distance to retraining",
    "called trained on, erased": "Erased samples called trained on",
    "relearn steps": "Relearn time, steps",
    "U-LiRA: accuracy": "U-LiRA, accuracy",
    "U-LiRA: TPR at 1% FPR": "U-LiRA, TPR at 1 % FPR",
}
"""Read-outs by name, and their titles."""

_STYLES = ((OURS, "o", "-"), (REFIT, "s", "--"), ("#cc79a7", "^", ":"), ("#009e73", "D", "-."))


def save_forgetting(series: Mapping[str, Sequence[ReadOuts]], path: Path) -> None:
    """A panel for each read-out, over what the first contender is permitted."""
    with rc_context({**STYLE, "font.size": 9}):
        figure = Figure(figsize=(12, 6), layout="constrained")
        figure.suptitle(
            "What is left of samples that were to be forgotten, beside retraining",
            x=0.01,
            ha="left",
            fontsize=14,
            fontweight="bold",
        )
        panels = figure.subplots(2, len(PANELS) // 2).flat
        for axes, (name, title) in zip(panels, PANELS.items(), strict=True):
            _draw(axes, name, series)
            axes.set_title(title, fontsize=10.5)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=len(labels), frameon=False)
        figure.savefig(path, metadata={"Date": None})


def _draw(axes: Axes, name: str, series: Mapping[str, Sequence[ReadOuts]]) -> None:
    permitted = [_of(name, one).permitted for one in next(iter(series.values()))]
    erased = [one.erased for one in next(iter(series.values()))]
    low, high = ([getattr(one, side) for one in permitted] for side in ("low", "high"))
    axes.fill_between(erased, low, high, color=PALE, label="permitted to exact forgetting")
    retrained = [one.value for one in permitted]
    axes.plot(erased, retrained, color=MUTED, linewidth=5, alpha=0.5, label="retrained")
    for (label, runs), (color, marker, line) in zip(series.items(), _STYLES, strict=False):
        values = [_of(name, one).measured.value for one in runs]
        axes.plot(
            erased, values, color=color, marker=marker, linestyle=line, markersize=4, label=label
        )
    axes.set_xlabel("erased samples")
    axes.set_ylim(bottom=0)


def _of(name: str, runs: ReadOuts) -> ReadOut:
    [found] = [one for one in (*runs.comparisons, *runs.attacks) if one.name == name]
    return found
