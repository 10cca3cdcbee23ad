"""Numbers as people read them."""


def duration(seconds: float) -> str:
    """Three digits, in the unit that suits."""
    for unit, size in (("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if seconds >= (2 * size if unit == "min" else size):
            return f"{_three_digits(seconds / size)} {unit}"
    return f"{_three_digits(seconds * 1e6)} µs"


def gigabytes(size: float) -> str:
    """10^9 bytes."""
    return f"{_three_digits(size / 1e9)} GB"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
