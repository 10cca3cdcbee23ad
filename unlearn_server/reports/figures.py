"""Two bar charts as SVG, drawn here: they stand in a web page and in a PDF alike."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from math import ceil

from unlearn_server.domain import ErasureState
from unlearn_server.reports import summary, words
from unlearn_server.reports.report import Closed, Period, Report

WIDTH, HEIGHT = 640, 165
_LEFT, _RIGHT, _TOP, _BASE = 46, 8, 8, 140
_MOST_BARS = 62
_ON_TIME, _LATE, _RULE, _INK = "#24476b", "#b3261e", "#d8d8d4", "#444444"
_FONTS = "Libertinus Serif, Charter, Georgia, serif"


@dataclass(frozen=True)
class Figure:
    """A drawing, and what it shows in a sentence."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Bar:
    """How many were on time and how many late, over a label that may be empty."""

    label: str
    on_time: int
    late: int

    @property
    def height(self) -> int:
        """Both together."""
        return self.on_time + self.late


def over_time(report: Report) -> Figure:
    """Requests carried out, by the day or a longer step."""
    starts, step = _steps(report.period)
    rows = [
        each for each in summary.each_request(report.closed) if each.state is ErasureState.SUCCEEDED
    ]
    length = starts[1] - starts[0] if len(starts) > 1 else timedelta(days=1)
    late = _counted(rows, lambda each: (each.close_time - starts[0]) // length, late=True)
    on_time = _counted(rows, lambda each: (each.close_time - starts[0]) // length, late=False)
    every = ceil(len(starts) / 6)
    bars = [
        Bar(words.date(start) if i % every == 0 else "", on_time[i], late[i])
        for i, start in enumerate(starts)
    ]
    return Figure(_chart(bars), f"Requests carried out, by {step}. {_legend(bars)}")


def time_left(report: Report) -> Figure:
    """Requests carried out, by the days that were left."""
    left = summary.days_left(report.closed)
    edges = range(0, 30, 5)
    bars = [
        Bar("late", 0, sum(days < 0 for days in left)),
        *(Bar(f"{low}–{low + 5}", sum(low <= days < low + 5 for days in left), 0) for low in edges),
        Bar("30 or more", sum(days >= 30 for days in left), 0),
    ]
    return Figure(_chart(bars), "Requests carried out, by the days left until they were due.")


def _steps(period: Period) -> tuple[list[datetime], str]:
    """Where each bar begins, whole days of UTC long, and what so many days are called."""
    first = period.start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = max(1, ceil(summary.days(period.end - first)))
    length = 1 if days <= _MOST_BARS else 7 if days <= 7 * _MOST_BARS else ceil(days / _MOST_BARS)
    starts = [first + timedelta(days=i) for i in range(0, days, length)]
    return starts, {1: "day", 7: "week"}.get(length, f"{length} days")


def _counted(rows: Iterable[Closed], place: Callable[[Closed], int], *, late: bool) -> Counter[int]:
    return Counter(place(each) for each in rows if each.is_late is late)


def _legend(bars: Sequence[Bar]) -> str:
    return "The upper, red part was late." if any(bar.late for bar in bars) else "None was late."


def _chart(bars: Sequence[Bar]) -> str:
    top = _round_up(max((bar.height for bar in bars), default=0))
    scale = (_BASE - _TOP) / top
    width = (WIDTH - _LEFT - _RIGHT) / len(bars)
    parts = [_rule(value, _BASE - value * scale) for value in _ticks(top)]
    for i, bar in enumerate(bars):
        left = _LEFT + i * width
        parts.append(_box(left, _BASE - bar.on_time * scale, width, bar.on_time * scale, _ON_TIME))
        parts.append(_box(left, _BASE - bar.height * scale, width, bar.late * scale, _LATE))
        parts.append(_label(left + width / 2, bar.label))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="{_FONTS}" font-size="11">{"".join(parts)}</svg>'
    )


def _round_up(value: int) -> int:
    """The next round number that has a whole half."""
    power = int(10 ** (len(str(value)) - 1))
    tenths = (20, 40, 60, 80, 100) if power == 1 else (10, 12, 16, 20, 24, 30, 40, 50, 60, 80, 100)
    return next(each * power // 10 for each in tenths if each * power >= 10 * value)


def _ticks(top: int) -> tuple[int, ...]:
    return 0, top // 2, top


def _rule(value: int, y: float) -> str:
    line = f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_RULE}"/>'
    return line + _text(_LEFT - 6, y + 4, words.count(value), "end")


def _box(left: float, top: float, width: float, height: float, color: str) -> str:
    if not height:
        return ""
    gap = min(2.0, width / 5)
    return (
        f'<rect x="{left + gap / 2:.1f}" y="{top:.2f}" width="{width - gap:.1f}" '
        f'height="{height:.2f}" fill="{color}"/>'
    )


def _label(middle: float, text: str) -> str:
    """Below a bar, as far as there is room on the right."""
    room = 3.0 * len(text)
    return _text(min(middle, WIDTH - room), _BASE + 16, text, "middle")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    if not text:
        return ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_INK}">{escape(text)}</text>'
    )
