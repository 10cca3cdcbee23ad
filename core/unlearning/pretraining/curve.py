"""The losses of a run as an SVG, drawn here: training needs no package for pictures."""

from collections.abc import Sequence
from statistics import fmean

_WIDTH, _HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BASE = 56, 12, 26, 208
_MOST_POINTS = 200
_INK, _LINE = "#444444", "#0072b2"


def drawn(losses: Sequence[float]) -> str:
    """A line through the means of at most so many stretches of steps.

    Args:
        losses: one a step, at least one.
    """
    length = -(-len(losses) // _MOST_POINTS)
    means = [fmean(losses[start : start + length]) for start in range(0, len(losses), length)]
    low, high = min(means), max(means)
    across = (_WIDTH - _LEFT - _RIGHT) / max(1, len(means) - 1)
    down = (_BASE - _TOP) / ((high - low) or 1.0)
    points = " ".join(
        f"{_LEFT + i * across:.1f},{_TOP + (high - mean) * down:.1f}"
        for i, mean in enumerate(means)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12" fill="{_INK}">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n'
        f"{_text(_LEFT, 16, 'start', f'loss, means of {length} steps')}"
        f"{_text(_LEFT - 6, _TOP + 4, 'end', f'{high:.3g}')}"
        f"{_text(_LEFT - 6, _BASE + 4, 'end', f'{low:.3g}')}"
        f"{_text(_WIDTH - _RIGHT, _HEIGHT - 10, 'end', f'step {len(losses):,}')}"
        f'<polyline points="{points}" fill="none" stroke="{_LINE}" stroke-width="1.5"/>\n'
        "</svg>\n"
    )


def _text(x: int, y: int, anchor: str, words: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{words}</text>\n'
