"""Results as tables."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table

from unlearn.v1.audit_pb2 import AuditModelResponse
from unlearn.v1.erasure_pb2 import Erasure, Hold
from unlearn.v1.model_pb2 import Model, Release
from unlearn_client.cli.words import (
    bound_words,
    caveat,
    due_words,
    extension_words,
    state_words,
    time_words,
)

_LONGEST_NAME = 50
_NOT_COMPARED = "not compared: of no release, or of a TANGENT model"


def facts(pairs: Iterable[tuple[str, object]]) -> Table:
    """One thing: a fact a row."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, str(value))
    return table


def listing(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """Many things of a kind: a thing a row."""
    cells = [[str(value) for value in row] for row in rows]
    # A name that is cut, or broken in two, is no name; a file's path may be too long for a line.
    is_named = all(len(row[0]) <= _LONGEST_NAME for row in cells)
    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=is_named and number == 0)
    for row in cells:
        table.add_row(*row)
    return table


def model_report(model: Model) -> Table:
    """A model."""
    return facts(
        [
            ("Model", model.name),
            ("Core", model.core),
            ("Classes", ", ".join(model.classes)),
            ("The core's head", "answers on these classes" if model.has_head else "none"),
            ("Samples", f"{model.sample_count} about {model.subject_count} subjects"),
            ("Release", model.release or _unreleased(model)),
            ("Minimum cohort", model.minimum_cohort or "none: erasures never wait"),
            ("Created", time_words(model.create_time)),
        ]
    )


def _unreleased(model: Model) -> str:
    return "none: the core's head answers" if model.has_head else "none: it knows nothing yet"


def model_listing(models: Iterable[Model]) -> Table:
    """Models, a row each."""
    rows = (
        (
            model.name,
            model.core,
            model.sample_count,
            model.subject_count,
            model.release.rpartition("/")[2] or "none",
        )
        for model in models
    )
    return listing(["Model", "Core", "Samples", "Subjects", "Release"], rows)


def release_report(release: Release) -> Table:
    """A release and the evidence for it."""
    solve = release.solve
    proof = "proven to be the rounded optimum" if solve.correctly_rounded else "see the distance"
    return facts(
        [
            ("Release", release.name),
            ("State", Release.State.Name(release.state)),
            ("Samples", release.sample_count),
            ("Solver", f"{solve.solver}: {proof}"),
            ("Distance to optimum", f"at most {solve.distance_bound:.3g}"),
        ]
    )


def dry_run_report(erasure: Erasure) -> RenderableType:
    """What an erasure would do."""
    if not erasure.outcomes:
        return "Dry run: no model holds a match; nothing would be erased."
    held = " once the hold is lifted" if erasure.state == Erasure.HELD else ""
    return Group(f"Dry run: nothing was changed. It would erase{held}:", "", _outcomes(erasure))


def erasure_report(erasure: Erasure) -> RenderableType:
    """An erasure, what it did to each model, and when it is due."""
    pairs = [
        ("Erasure", erasure.name),
        ("State", state_words(erasure)),
        ("Regulation", erasure.regulation or "none named"),
        ("Received", time_words(erasure.receive_time)),
        ("Due", due_words(erasure)),
        ("Completed", time_words(erasure.complete_time)),
    ]
    if erasure.HasField("extension"):
        pairs.append(("Extended", extension_words(erasure.extension)))
    if erasure.refusal_ground:
        pairs += [("Ground", erasure.refusal_ground), ("Certificate", erasure.certificate)]
    parts: list[RenderableType] = [facts(pairs)]
    if erasure.outcomes:
        parts += ["", _outcomes(erasure)]
        parts += sorted({words for outcome in erasure.outcomes if (words := caveat(outcome))})
    return Group(*parts)


def erasure_listing(erasures: Iterable[Erasure]) -> Table:
    """Erasures, a row each."""
    rows = (
        (
            erasure.name,
            state_words(erasure),
            sum(outcome.erased_samples for outcome in erasure.outcomes),
            due_words(erasure),
        )
        for erasure in erasures
    )
    return listing(["Erasure", "State", "Erased", "Due"], rows)


def hold_report(hold: Hold) -> Table:
    """A hold; it does not say on whom."""
    return facts(
        [
            ("Hold", hold.name),
            ("Reason", hold.reason),
            ("Placed", time_words(hold.place_time)),
            ("Lifted", time_words(hold.lift_time)),
        ]
    )


def hold_listing(holds: Iterable[Hold]) -> Table:
    """Holds, a row each."""
    rows = (
        (hold.name, hold.reason, time_words(hold.place_time), time_words(hold.lift_time))
        for hold in holds
    )
    return listing(["Hold", "Reason", "Placed", "Lifted"], rows)


def audit_report(answer: AuditModelResponse) -> Table:
    """An audit, with the commitments by which auditors compare models."""
    verdict = "consistent" if answer.consistent else "NOT CONSISTENT"
    return facts(
        [
            ("Verdict", verdict),
            ("Samples", answer.samples),
            ("Salt", answer.salt.hex()),
            ("State, recomputed", answer.state_commitment_recomputed.hex()),
            ("State, held", answer.state_commitment_held.hex()),
            ("Weights, recomputed", answer.weights_commitment_recomputed.hex() or _NOT_COMPARED),
            ("Weights, served", answer.weights_commitment_served.hex() or _NOT_COMPARED),
        ]
    )


def _outcomes(erasure: Erasure) -> Table:
    return listing(
        ["Model", "Erased", "Method", "What is left", "Certificate"],
        (
            (
                outcome.model,
                outcome.erased_samples,
                Erasure.Method.Name(outcome.method),
                bound_words(outcome.bound) if outcome.HasField("bound") else "",
                outcome.certificate.rpartition("/")[2],
            )
            for outcome in erasure.outcomes
        ),
    )
