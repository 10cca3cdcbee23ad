"""A report as PDF/A-2b (ISO 19005-2), typeset by a process of its own.

A hundred thousand rows take typst more than half a gigabyte, which it gives back only when
it ends; and what it does must not hold up the threads that answer.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

from unlearn_server.reports import typesetting
from unlearn_server.reports.report import Report
from unlearn_server.reports.sections import Document, Table, document

_FIRST_LINES, _LINES = 40, 46
"""Lines of the register on its first page and on the others; each holds two of its rows."""

_FRUGAL = {"RAYON_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "131072"}
"""One thread leaves the other processors to those who answer. The threshold, glibc's first,
stays where it is: raised as glibc would, it costs up to 150 MiB of 700, and nobody knows when."""

_GAP = " " * 3

_GLYPHS = frozenset("μεδ∞−–—≤≥‘’“”…•\n")
"""Beyond Latin, what the reports' own words use. typst's fonts have all of it."""


def render(report: Report) -> bytes:
    """The file, made at the time that the report tells."""
    made = int(report.period.made.timestamp())
    done = subprocess.run(  # noqa: S603 # our own module, on data that it takes as data
        [sys.executable, "-m", typesetting.__name__, str(made)],
        input=json.dumps(_content(document(report))).encode(),
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, **_FRUGAL, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    return done.stdout


def _content(shown: Document) -> dict[str, Any]:
    head, pages = _register(shown.register)
    # Its cells are many, and the template takes its lines alone.
    others = asdict(replace(shown, register=Table((), (), "")))
    return {**_printable(others), "register": {"head": head, "pages": pages}}


def _register(table: Table) -> tuple[str, list[str]]:
    """A line of headings, and the lines of each page: two columns, each read downwards."""
    widths = list(map(len, table.head))
    for row in table.rows:
        widths = [max(width, len(cell)) for width, cell in zip(widths, row, strict=True)]
    head = _line(table.head, widths, table.aligned)
    count = len(table.rows)
    starts = [*range(min(count, 1)), *range(2 * _FIRST_LINES, count, 2 * _LINES)]
    pages = []
    for start, end in pairwise([*starts, count]):
        lines = [_line(row, widths, table.aligned) for row in table.rows[start:end]]
        pages.append("\n".join(_side_by_side(lines, _LINES if start else _FIRST_LINES)))
    return f"{head}{_GAP}{head}", pages


def _line(cells: Sequence[str], widths: Sequence[int], aligned: str) -> str:
    padded = (
        cell.rjust(width) if side == "r" else cell.ljust(width)
        for cell, width, side in zip(cells, widths, aligned, strict=True)
    )
    return " ".join(padded)


def _side_by_side(lines: Sequence[str], height: int) -> list[str]:
    left, right = lines[:height], lines[height:]
    blank = [""] * (len(left) - len(right))
    return [f"{a}{_GAP}{b}".rstrip() for a, b in zip(left, [*right, *blank], strict=True)]


def _printable(value: Any) -> Any:
    """The same, each character that the fonts may lack by its number: PDF/A admits no gap."""
    match value:
        case str():
            return "".join(c if _has_glyph(c) else f"[U+{ord(c):04X}]" for c in value)
        case dict():
            return {name: _printable(each) for name, each in value.items()}
        case list() | tuple():
            return [_printable(each) for each in value]
    return value


def _has_glyph(character: str) -> bool:
    is_latin = character < "\u0180" and character.isprintable()
    return is_latin or character in _GLYPHS
