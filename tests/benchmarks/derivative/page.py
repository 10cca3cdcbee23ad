"""A report as a page: tables, the plot, and what to keep in mind."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from tests.benchmarks.derivative.choice import AT_A_TIME, DRAWS, STEPS, Extension, Reweighting
from tests.benchmarks.derivative.detection import FOLDS, PART
from tests.benchmarks.derivative.report import Report
from tests.benchmarks.words import duration, table

T = TypeVar("T")

PLOT = "derivative.svg"
FASTER, AS_LONG, AUC, F1, RELATIVE = 4.0, 4.0, 0.97, 0.85, 1e-9
"""Goals."""


def page(report: Report) -> str:
    """Markdown."""
    return "\n".join(
        [
            "# What samples are worth: measured\n",
            f"{report.machine.words} The run took {duration(report.seconds)}.\n",
            f"## All {report.speed_rows:,} rows left out, width {report.width:,}, "
            f"{report.classes} classes\n",
            "From rows to answers, the Gram matrix included; generated features; medians of runs "
            "in turn.\n",
            _speed(report),
            "## Wrong labels found\n",
            f"{PART:.0%} of the labels are replaced, uniformly. AUC is of ranking all samples; F1 "
            "of what a method itself calls wrong: a derivative above 0, most neighbours of "
            "another class, or the rule of confident learning with a logistic regression in "
            f"{FOLDS} folds.\n",
            *(_detection(report, name) for name in report.detections),
            "## Samples added from a pool\n",
            f"To a small set, {AT_A_TIME} at a time with the derivative of a validation error "
            f"taken anew, or uniformly (mean of {DRAWS} draws). Mean squared distance to the "
            "targets, and error, on a test set.\n",
            *(_extension(name, words, one) for name, words, one in _pairs(report.extensions)),
            "## Weights moved down the gradient of the leave-one-out error\n",
            "Steps of at most 0.1; no validation set is used.\n",
            _reweightings(report),
            "## A preview beside what is computed afterwards\n",
            f"Held-out error of {report.preview_rows:,} rows without some of them: from the "
            "statistics less those rows, and from statistics that never had them.\n",
            _previews(report),
            f"![AUC and F1 of each method; test loss of added samples]({PLOT})\n",
            "## Limits\n",
            "- The strong ridge for finding wrong labels was chosen on these very data sets, so "
            "its figures flatter it; a model's own ridge is what `unlearn value` uses.",
            "- RidgeCV answers squared errors for one ridge; it would share a factorization over "
            "many.",
            *(f"- {name} was missing: `{how}`." for name, how in report.missing.items()),
            "",
        ]
    )


def _speed(report: Report) -> str:
    speed = report.speed
    rows = [
        [name, duration(time.seconds), duration(time.fastest), str(time.runs)]
        for name, time in speed.times.items()
    ]
    return table(["what", "median", "fastest", "runs"], rows) + (
        f"\nRidgeCV took {speed.over_ridge_cv:.1f} times as long as leaving out (goal: "
        f"{FASTER:g}, {_reached(speed.over_ridge_cv >= FASTER)}); the derivative "
        f"{speed.of_derivative:.1f} times (goal: at most {AS_LONG:g}, "
        f"{_reached(speed.of_derivative <= AS_LONG)}). Squared errors differ by at most "
        f"{speed.apart:.0e} of the largest target's square.\n"
    )


def _detection(report: Report, name: str) -> str:
    found = report.detections[name]
    rows = [
        [
            method,
            f"{score.auc:.3f}",
            f"{score.f1:.2f}",
            _reached(score.auc >= AUC and score.f1 >= F1),
        ]
        for method, score in found.scores.items()
    ]
    head = [f"{name}, {found.rows:,} images", "AUC", "F1", f"AUC {AUC} and F1 {F1}"]
    return table(head, rows)


def _extension(name: str, words: str, one: Extension) -> str:
    rows = []
    for k, derived in one.by_derivative.items():
        loss, error = np.mean([(each.loss, each.error) for each in one.uniform[k]], axis=0)
        rows.append(
            [
                str(k),
                *(f"{derived.loss:.1f}", f"{loss:.1f}", f"{derived.error:.1%}", f"{error:.1%}"),
                _reached(one.is_better(k)),
            ]
        )
    head = [f"{name}, {words}: added to {one.rows}", "loss", "uniform", "error", "uniform", "less"]
    return table(head, rows)


def _reweightings(report: Report) -> str:
    rows = [
        [f"{name}, {words}, {one.rows} images", *_tests(one)]
        for name, words, one in _pairs(report.reweightings)
    ]
    head = ["loss (error)", *(f"{step} steps" for step in range(STEPS + 1))]
    return table(head, rows)


def _tests(one: Reweighting) -> list[str]:
    return [f"{test.loss:.2f} ({test.error:.2%})" for test in one.tests]


def _previews(report: Report) -> str:
    rows = [
        [f"{k:,}", f"{off:.0e}", _reached(off <= RELATIVE)] for k, off in report.previews.items()
    ]
    return table(["rows erased", "relative difference", f"at most {RELATIVE:g}"], rows)


def _pairs(nested: Mapping[str, Mapping[str, T]]) -> list[tuple[str, str, T]]:
    return [(name, words, one) for name, each in nested.items() for words, one in each.items()]


def _reached(is_reached: bool) -> str:
    return "yes" if is_reached else "no"
