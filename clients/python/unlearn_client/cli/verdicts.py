"""What came of verifying certificates, for people and for programs."""

from collections.abc import Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding

from unlearn_client.cli.reports import facts
from unlearn_client.verification import Report


def verdict_document(report: Report, pinned: bool) -> dict[str, Any]:
    """A report for programs; a refused one has its reason and nothing else to rely on."""
    statement = report.statement
    return {
        "files": list(report.files),
        "verified": not report.refusal,
        "refusal": report.refusal,
        "key": {"sha256": report.key, "pinned": pinned} if report.key else None,
        "witnesses": [
            {"name": one.witness, "time": one.time.isoformat()} for one in report.cosignatures
        ],
        "proven": list(report.proven),
        "claimed": [{"what": what, "words": words} for what, words in _claims(report)],
        "notCovered": list(report.not_covered),
        "statement": statement.document if statement else None,
    }


def verdict_report(report: Report) -> RenderableType:
    """A report for people: three lists, which must not be taken for one another."""
    files = ", ".join(report.files)
    if report.statement is None:
        return f"REFUSED: {files}\n  {report.refusal}\n"
    title = f"VERIFIED: entry {report.statement.index} of {report.statement.origin}, from {files}"
    return Group(
        title,
        "",
        "Proven, by signatures and hashes:",
        _points(report.proven),
        "",
        "Claimed, by the owner of the key:",
        Padding(facts(_claims(report)), (0, 0, 0, 2)),
        "",
        "Not covered:",
        _points(report.not_covered),
        "",
    )


def _claims(report: Report) -> Iterable[tuple[str, str]]:
    return report.statement.claims if report.statement else ()


def _points(lines: Iterable[str]) -> RenderableType:
    return Padding(facts(("-", line) for line in lines), (0, 0, 0, 2))
