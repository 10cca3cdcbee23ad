"""What samples are worth, and what erasures would do, as tables."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table

from unlearn.v1.erasure_pb2 import PreviewErasureResponse
from unlearn.v1.valuation_pb2 import Derivative, EstimateErrorResponse
from unlearn_client.cli.reports import facts, listing


def error_report(error: EstimateErrorResponse) -> Table:
    """An error without a test set."""
    return facts(
        [
            ("Held-out error", f"{error.error:.6g} (mean squared distance to the targets)"),
            ("Held-out accuracy", f"{error.accuracy:.2%} of {error.samples} samples"),
        ]
    )


def value_listing(values: Iterable[Derivative]) -> Table:
    """Values, a row each."""
    rows = (
        (value.id, f"{value.derivative:.4g}", f"{value.held_out_error:.4g}") for value in values
    )
    return listing(["Sample or subject", "Derivative", "Held-out error"], rows)


def preview_report(seen: PreviewErasureResponse) -> RenderableType:
    """Before and after."""
    parts: list[RenderableType] = [
        facts(
            [
                ("Samples erased", seen.samples),
                ("Held-out error", f"{seen.error_before:.6g} -> {seen.error_after:.6g}"),
                (
                    "Held-out accuracy",
                    f"{seen.accuracy_before:.2%} -> {seen.accuracy_after:.2%}",
                ),
                ("Logits move by", f"{seen.prediction_shift:.3g} (root mean square)"),
            ]
        )
    ]
    if seen.scarce_classes:
        rows = ((c.label, c.samples_before, c.samples_after) for c in seen.scarce_classes)
        parts += ["", listing(["Scarce class", "Samples", "Afterwards"], rows)]
    if seen.critical_subjects:
        parts += ["", "Whose erasure after this one would make another class scarce:"]
        parts += seen.critical_subjects
    return Group(*parts)
