"""How much is measured: all of it, or little of everything, to see that it works."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Rows, widths and classes of what is measured; a width counts the constant feature.

    Attributes:
        rows: n.
        width: d.
        classes: C.
        wide: the width at which memory is counted and an erasure is timed once more.
        subject_rows: samples of a subject who has many.
        burst: erasures that are sent at once.
        pressure: erasures that are kept ready for each second of full rate.
        sweep_rows: n where another size is swept.
        widths, erased, class_counts, row_counts: what is swept.
        logs: leaves of the log, in ascending order.
        peak: side of the matrices that show the machine's peak.
    """

    rows: int = 60_000
    width: int = 1281
    classes: int = 10
    wide: int = 4096
    subject_rows: int = 100
    burst: int = 1000
    pressure: int = 2000
    sweep_rows: int = 10_000
    widths: tuple[int, ...] = (129, 257, 513, 1025, 1281, 2049, 4097)
    erased: tuple[int, ...] = (1, 3, 10, 32, 100, 300, 1000)
    class_counts: tuple[int, ...] = (1, 3, 10, 30, 100, 300, 1000)
    row_counts: tuple[int, ...] = (2_000, 6_000, 20_000, 60_000)
    logs: tuple[int, ...] = (1_000, 1_000_000)
    peak: int = 2048


FULL = Sizes()

QUICK = Sizes(
    rows=6_000,
    width=129,
    wide=513,
    subject_rows=10,
    burst=100,
    pressure=600,
    sweep_rows=2_000,
    widths=(33, 65, 129),
    erased=(1, 3, 10, 32),
    class_counts=(1, 3, 10),
    row_counts=(2_000, 6_000),
    logs=(100, 10_000),
    peak=512,
)
