"""A report as a page: tables, the plot, and what to keep in mind."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from tests.benchmarks.derivative import detection
from tests.benchmarks.derivative.choice import AT_A_TIME, DRAWS, STEPS, Extension
from tests.benchmarks.derivative.detection import CALIBRATED, FALSE_ALARMS, FOLDS, LEAST, PART
from tests.benchmarks.derivative.fits import CORE_PART, Test
from tests.benchmarks.derivative.removal import FRACTIONS, Removal
from tests.benchmarks.derivative.report import Report
from tests.benchmarks.derivative.speed import DERIVATIVE, EKFAC, PRODUCTS, RIDGE_CV, Speed
from tests.benchmarks.words import duration, table

T = TypeVar("T")

PLOT = "derivative.svg"
FASTER, THAN_EKFAC, AS_LONG, AUC, F1, RELATIVE = 4.0, 8.0, 4.0, 0.97, 0.85, 1e-9
"""Goals."""


def page(report: Report) -> str:
    """Markdown."""
    return "\n".join(
        [
            "# What samples are worth: measured\n",
            f"{report.machine.words} The run took {duration(report.seconds)}.\n",
            f"## All {report.speed_rows:,} rows left out, width {report.width:,}, "
            f"{report.classes} classes\n",
            "From rows to answers, the Gram matrix included unless it is said; generated features; "
            "medians of runs in turn, and one run of what takes long.\n",
            _speed(report.speed),
            "## Wrong labels found\n",
            f"{CORE_PART:.0%} of the images are CORE, their labels known to be right. Of the "
            f"others {PART:.0%} of the labels are replaced, uniformly, in {detection.DRAWS} draws; "
            "means of these are told. AUC is of ranking these others; F1 of what a method itself "
            "calls wrong: a derivative above 0, most neighbours of another class, the rule of "
            f"confident learning with a logistic regression in {FOLDS} folds, or a held-out error "
            f"above those of all but {FALSE_ALARMS:.0%} of the CORE samples. The ridge *by false "
            "alarms* is what `unlearn curate` chooses: the least under which at most "
            f"{FALSE_ALARMS:.0%} of the CORE samples are called wrong. Nothing was chosen by these "
            "scores.\n",
            *(_detection(report, name) for name in report.detections),
            "## Samples removed\n",
            "Error on a third of the images, with their right labels. Of the others "
            f"{PART:.0%} of the labels are wrong; what each method finds the likeliest wrong is "
            "removed, and what is left is fitted anew under the model's ridge.\n",
            *(_removal(name, one) for name, one in report.removals.items()),
            "## Samples added from a pool\n",
            f"To a small set, {AT_A_TIME} at a time with the derivative of a validation error "
            f"taken anew, or uniformly (mean of {DRAWS} draws). Mean squared distance to the "
            "targets, and error, on a test set.\n",
            *(_extension(name, words, one) for name, words, one in _pairs(report.extensions)),
            "## Weights moved down the gradient of the leave-one-out error\n",
            "Steps of at most 0.1, with the gradient taken anew at each, under the model's ridge "
            "or the one that `unlearn curate` chooses; fits are under the model's. No validation "
            "set is used. *Kept*: no step raised the error on the test set by more than its "
            "standard error.\n",
            _reweightings(report),
            "## A preview beside what is computed afterwards\n",
            f"Held-out error of {report.preview_rows:,} rows without some of them: from the "
            "statistics less those rows, and from statistics that never had them.\n",
            _previews(report),
            "![AUC and F1 of each method; errors after removals; test loss of added samples]"
            f"({PLOT})\n",
            "## Limits\n",
            "- RidgeCV answers squared errors for one ridge; it would share a factorization over "
            "many. EKFAC answers for the loss on rows that the fit has seen, and for networks too.",
            "- Replaced labels are wrong at random; people err in other ways.",
            *(f"- {name} was missing: `{how}`." for name, how in report.missing.items()),
            "",
        ]
    )


def _speed(speed: Speed) -> str:
    rows = [
        [name, duration(time.seconds), duration(time.fastest), str(time.runs)]
        for name, time in speed.times.items()
    ]
    goals = [
        f"RidgeCV took {speed.over(RIDGE_CV):.1f} times as long as leaving out (goal: {FASTER:g}, "
        f"{_reached(speed.over(RIDGE_CV) >= FASTER)}), the derivative "
        f"{speed.over(DERIVATIVE):.1f} times (goal: at most {AS_LONG:g}, "
        f"{_reached(speed.over(DERIVATIVE) <= AS_LONG)})",
    ]
    if EKFAC in speed.times:
        goals.append(
            f"EKFAC {speed.over(EKFAC):.1f} times (goal: {THAN_EKFAC:g}, "
            f"{_reached(speed.over(EKFAC) >= THAN_EKFAC)})"
        )
    return table(["what", "median", "fastest", "runs"], rows) + (
        f"\n{', '.join(goals)}. Squared errors differ from RidgeCV's by at most {speed.apart:.0e} "
        "of the largest target's square. Leaving out takes n d^2 multiplications and additions in "
        "float64 for the Gram matrix and as many for the leverages, and "
        f"{1 / speed.over(PRODUCTS):.2f} times as long as these two products alone. RidgeCV takes "
        "n d^2 for the Gram matrix, 2 n d^2 for the leverages, and an eigendecomposition: at the "
        "speed of its products nothing exact can be four times as fast, unless the Gram matrix is "
        "there already.\n"
    )


def _detection(report: Report, name: str) -> str:
    found = report.detections[name]
    rows = []
    for method in found.scores:
        score = found.mean(method)
        is_reached = score.auc >= AUC and score.f1 >= F1
        rows.append([method, f"{score.auc:.3f}", f"{score.f1:.2f}", _reached(is_reached)])
    head = [f"{name}, {found.rows:,} images", "AUC", "F1", f"AUC {AUC} and F1 {F1}"]
    return table(head, rows) + _ridges(found)


def _ridges(found: detection.Detection) -> str:
    of_least, of_calibrated = (
        ", ".join(f"{lam:g}" for lam in found.chosen[name]) for name in (LEAST, CALIBRATED)
    )
    return (
        f"\nThe model's ridge is {found.ridge:g}; of least held-out error {of_least}; "
        f"by false alarms {of_calibrated}.\n"
    )


def _removal(name: str, one: Removal) -> str:
    rows = [
        [method, *(f"{test.error:.1%}" for test in tests)] for method, tests in one.tests.items()
    ]
    head = [f"{name}, {one.rows:,} images: removed", *(f"{part:.0%}" for part in FRACTIONS)]
    return table(head, rows)


def _extension(name: str, words: str, one: Extension) -> str:
    rows = []
    for k, derived in one.by_derivative.items():
        uniform = Test.mean(one.uniform[k])
        rows.append(
            [
                str(k),
                *(f"{test.loss:.1f}" for test in (derived, uniform)),
                *(f"{test.error:.1%}" for test in (derived, uniform)),
                _reached(one.is_better(k)),
            ]
        )
    head = [f"{name}, {words}: added to {one.rows}", "loss", "uniform", "error", "uniform", "less"]
    return table(head, rows)


def _reweightings(report: Report) -> str:
    rows = [
        [f"{name}, {words}: {method}", *_tests(tests), _reached(one.is_kept(method))]
        for name, words, one in _pairs(report.reweightings)
        for method, tests in one.tests.items()
    ]
    head = ["loss (error)", *(f"steps: {step}" for step in range(STEPS + 1)), "kept"]
    return table(head, rows)


def _tests(tests: Sequence[Test]) -> list[str]:
    return [f"{test.loss:.2f} ({test.error:.2%})" for test in tests]


def _previews(report: Report) -> str:
    rows = [
        [f"{k:,}", f"{off:.0e}", _reached(off <= RELATIVE)] for k, off in report.previews.items()
    ]
    return table(["rows erased", "relative difference", f"at most {RELATIVE:g}"], rows)


def _pairs(nested: Mapping[str, Mapping[str, T]]) -> list[tuple[str, str, T]]:
    return [(name, words, one) for name, each in nested.items() for words, one in each.items()]


def _reached(is_reached: bool) -> str:
    return "yes" if is_reached else "no"
