"""A report as a page: tables, the plot, and how it came about."""

from statistics import median

from tests.benchmarks.accuracy.fine_tuning import (
    BATCH,
    LARGE,
    LARGE_BATCH,
    MIRRORED,
    MOMENTUM,
    MOST_TUNING_STEPS,
    SETTINGS,
)
from tests.benchmarks.accuracy.results import (
    BASELINE,
    DEEPER_TANGENT,
    FEATURES,
    TANGENT,
    Report,
    Row,
    shots_in_words,
)
from tests.benchmarks.accuracy.tangent import FEW_ROWS, MOST_ROWS
from tests.benchmarks.accuracy.tasks import FULL
from tests.benchmarks.words import duration, table

PLOT = "accuracy.svg"
LQF, LAST_LAYER = 0.12, 0.71
"""Median relative increases of LQF and of the last layer in Achille et al., CVPR 2021."""

FEW = 5
"""Shots at which fine-tuning is to be beaten."""


def page(report: Report) -> str:
    """Markdown."""
    return "\n".join(
        [
            "# Test error beside fine-tuning: measured\n",
            "EfficientNet-Lite0 with its ImageNet weights, at 96 x 96 pixels, learns data sets of "
            "real images: a few images a class, or all. All methods learn the same images and are "
            "tested on the same.\n",
            f"{report.machine.words} The run took {duration(report.seconds)}.\n",
            "## Relative increase of the test error over fine-tuning\n",
            "(error - fine-tuning's error) / fine-tuning's error, of means over draws; medians "
            "over tasks. Below zero is better than fine-tuning. Tasks are counted on which a "
            "method is better / not told apart / worse, by intervals of 95 %. For comparison, on "
            f"other data and a larger network: {LQF:.0%} for LQF, {LAST_LAYER:.0%} for the last "
            "layer (Achille et al., LQF, CVPR 2021).\n",
            _increases(report),
            _goals(report),
            f"![Test error of each method on each task, and its relative increase]({PLOT})\n",
            "## Test error in %\n",
            "± is half of an interval of 95 %: Student's over draws where there are several, else "
            "that of a fraction of the test images.\n",
            _errors(report),
            "## TANGENT beside the others\n",
            _beside_tangent(report),
            "## What was chosen, and seconds\n",
            "Seconds are of training and testing once; tuning and the features are not counted.\n",
            _chosen(report),
            "## Methods\n",
            *(f"- **{name}**: {words}." for name, words in report.methods.items()),
            "\n## Data sets\n",
            *(f"- **{name}**: {words}." for name, words in report.datasets.items()),
            *(f"- **{name}** was skipped: `{how}`." for name, how in report.missing.items()),
            "\n## How, and limits\n",
            *(f"- {limit}" for limit in _limits()),
            "",
        ]
    )


def _increases(report: Report) -> str:
    kinds = report.shots()
    rows = [
        [
            method,
            *(_percent(report.median_increase(method, kind)) for kind in kinds),
            _percent(report.median_increase(method, *kinds)),
            _differences(report, method, kinds),
        ]
        for method in report.rivals()
    ]
    return table(["method", *map(shots_in_words, kinds), "all tasks", "better / ? / worse"], rows)


def _goals(report: Report) -> str:
    """The least median of FEATURES of either kind, beside what is aimed at."""
    kinds = report.shots()
    goals: list[tuple[str, list[int | None], float]] = [
        (f"median over all tasks at most {LQF:.0%}", kinds, LQF),
        (f"median over tasks with full data at most {LQF:.0%}", [None], LQF),
        (f"better than fine-tuning at {FEW}-shot", [FEW], 0.0),
    ]
    rows = []
    for words, kind, most in goals:
        ours = {
            method: report.median_increase(method, *kind)
            for method in report.rivals()
            if method not in ("last layer", TANGENT, DEEPER_TANGENT)
        }
        best = min(ours, key=ours.__getitem__)
        reached = "yes" if ours[best] <= most else "no"
        counts = _differences(report, best, kind)
        rows.append([words, f"{_percent(ours[best])} ({best})", reached, counts])
    return table(["goal", "best", "reached", "better / ? / worse"], rows)


def _differences(report: Report, method: str, kinds: list[int | None]) -> str:
    return " / ".join(map(str, report.differences(method, *kinds)))


def _errors(report: Report) -> str:
    head = ["task", "test images", "draws", *report.methods]
    rows = [
        [
            *(row.words, f"{row.tested:,}"),
            str(max(len(cell.errors) for cell in row.cells.values())),
            *(_error(row, method) for method in report.methods),
        ]
        for row in report.rows
    ]
    return table(head, rows)


def _error(row: Row, method: str) -> str:
    if method not in row.cells:
        return "-"
    return f"{100 * row.cells[method].error:.1f} ± {100 * row.half_width(method):.1f}"


def _beside_tangent(report: Report) -> str:
    """TANGENT's error beside each of the others', and whether it is ever worth choosing."""
    lines = [
        [one, other, *_beside(report, one, other)]
        for one in (TANGENT, DEEPER_TANGENT)
        for other in report.methods
        if other not in (one, DEEPER_TANGENT)
    ]
    better = [
        row.words
        for row in report.rows
        for one in (TANGENT, DEEPER_TANGENT)
        if one in row.cells and row.differs(one, FEATURES) < 0
    ]
    verdict = (
        f"TANGENT erred less than FEATURES, beyond chance, on {', '.join(better)}."
        if better
        else "On no task did TANGENT err less than FEATURES beyond chance: choose FEATURES."
    )
    head = ["method", "beside", "tasks", "its test error, median over tasks", "better / ? / worse"]
    return f"{table(head, lines)}\n{verdict}\n"


def _beside(report: Report, one: str, other: str) -> tuple[str, str, str]:
    """The tasks that both have, the median increase, and how often they are told apart."""
    rows = [row for row in report.rows if one in row.cells and other in row.cells]
    found = [row.differs(one, other) for row in rows]
    increase = median(row.cells[one].error / row.cells[other].error - 1 for row in rows)
    counts = " / ".join(str(found.count(sign)) for sign in (-1, 0, 1))
    return str(len(rows)), _percent(increase), counts


def _chosen(report: Report) -> str:
    rows = [
        [
            row.words,
            *(
                f"{row.cells[method].chosen}; {duration(row.cells[method].seconds)}"
                if method in row.cells
                else "-"
                for method in report.methods
            ),
        ]
        for row in report.rows
    ]
    return table(["task", *report.methods], rows)


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:+.0f} %"


def _limits() -> list[str]:
    settings = ", ".join(f"{name} {rate:g}" for name, rate in SETTINGS)
    return [
        "Settings are chosen anew for each task: learn as many shots drawn besides (twice for 1 "
        f"and 5 shots, else once), and take what errs least on {FULL.held_out} other training "
        "images; with full data, learn four fifths of the training images and look at the last. "
        "This holds for every method. Test images choose nothing.",
        "That is more than somebody with five images a class has, for fine-tuning as for the "
        "others; *FEATURES, default* is what is had without it.",
        f"{BASELINE.capitalize()} is tuned over optimizers and learning rates ({settings}; SGD "
        f"with Nesterov momentum {MOMENTUM:g}). Not tuned: steps, "
        f"{FULL.steps} times the root of the number of images; batches of {BATCH}, of "
        f"{LARGE_BATCH} from {LARGE:,} images on; cosine decay after a tenth of warm-up; no weight "
        "decay, no label smoothing; one learning rate for all layers; the classifier starts from "
        "zero. A tuning run "
        f"takes at most {MOST_TUNING_STEPS} steps.",
        "The rates bracket the best at 5 shots: in trials on digits and stamps, which looked at "
        "test images, Adam's 0.00003 and 0.001 and SGD's 0.01 erred more or diverged. With more "
        "images the lowest of a kind is often chosen, and a lower one might gain a little.",
        "Every weight is fine-tuned, Fashion-MNIST's 5,000 images included: some six passes over "
        "them. More passes, a larger grid and more augmentation could gain a little: the budget "
        "of the whole run is 25 minutes of two cores.",
        f"Augmentation: images are mirrored at random for {' and '.join(MIRRORED)}, nowhere else; "
        "FEATURES and the last layer are given no augmentation at all.",
        "Batch norm stays on its ImageNet statistics and is folded into the convolutions, so what "
        "is trained are the folded weights. In trials with 5 shots that was better on digits and "
        "no worse on stamps than training them unfolded.",
        "The maps to choose from were drawn up while looking at these very data sets, at errors on "
        "training and on test images; another data set might like another map.",
        "Images are upscaled to 96 x 96 from 8 x 8 and 28 x 28: digits are far from what the "
        "network was trained on, stamps are near.",
        "Fashion-MNIST: 5,000 training images and the first 2,000 test images for all methods, "
        "then 60,000 and 10,000 where training is a closed form; that line is no task of the "
        "medians, since fine-tuning has no figure there.",
        "Some topics of stamps have fewer than 20 training images: 20-shot takes what there is. "
        "Near-duplicates, say letters of two fonts, can be on both sides of their split.",
        f"{TANGENT} is given tasks with at most {MOST_ROWS:,} images and {DEEPER_TANGENT} with at "
        f"most {FEW_ROWS}, since solves take long; their medians are of those. Both are tuned over "
        "the ridge alone. Scopes of the papers' size, all of the network, were not tried.",
        "Draws share test images, so intervals over draws say nothing about these.",
    ]
