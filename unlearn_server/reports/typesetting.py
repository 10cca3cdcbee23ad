"""Typesets a report: its content as JSON on standard input, a PDF on standard output.

``python -m unlearn_server.reports.typesetting SECONDS``, the time that it was made, since 1970.
"""

import sys
from pathlib import Path

import typst

_TEMPLATE = Path(__file__).parent / "report.typ"


def main() -> None:
    """Reads, typesets with typst's own fonts alone, and writes."""
    made = int(sys.argv[1])
    pdf = typst.compile(
        _TEMPLATE.read_bytes(),
        format="pdf",
        sys_inputs={"report": sys.stdin.read()},
        ignore_system_fonts=True,
        pdf_standards="a-2b",
        timestamp=made,
        pdf_tags=False,
    )
    sys.stdout.buffer.write(pdf)


if __name__ == "__main__":
    main()
