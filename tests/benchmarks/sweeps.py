"""How an erasure's time follows each size, and how that of a refit does."""

from dataclasses import dataclass
from functools import partial

from tests.benchmarks.data import Data, generate
from tests.benchmarks.deletion import beside_refit
from tests.benchmarks.engine import Engine
from tests.benchmarks.peers import RidgeRefit
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.timing import Timed, in_turn


@dataclass(frozen=True)
class Point:
    """One size."""

    size: int
    erase: Timed
    refit: Timed


@dataclass(frozen=True)
class Sweep:
    """One size swept, the others held.

    Attributes:
        swept: words for the size.
        held: what the others are.
    """

    swept: str
    held: str
    points: list[Point]


def by_width(sizes: Sizes) -> Sweep:
    """Against d."""
    n, C = sizes.sweep_rows, sizes.classes
    points = [_point(d, generate(n, d, C)) for d in sizes.widths]
    return Sweep("width d of a row", f"n = {n:,}, C = {C}, one row erased", points)


def by_erased(sizes: Sizes, data: Data) -> Sweep:
    """Against the rows of one erasure; a refit's time does not depend on them."""
    erasures = {str(k): partial(Engine(data).erase, k) for k in sizes.erased}
    times = in_turn({"refit": RidgeRefit(data).delete, **erasures})
    points = [Point(k, times[str(k)], times["refit"]) for k in sizes.erased]
    held = f"n = {sizes.rows:,}, d = {sizes.width:,}, C = {sizes.classes}"
    return Sweep("rows k of one erasure", held, points)


def by_classes(sizes: Sizes, data: Data) -> Sweep:
    """Against C."""
    few = data.head(sizes.sweep_rows)
    points = [_point(C, few.relabelled(C)) for C in sizes.class_counts]
    held = f"n = {sizes.sweep_rows:,}, d = {sizes.width:,}, one row erased"
    return Sweep("classes C", held, points)


def by_rows(sizes: Sizes, data: Data) -> Sweep:
    """Against n."""
    points = [_point(n, data.head(n)) for n in sizes.row_counts]
    return Sweep("rows n held", f"d = {sizes.width:,}, C = {sizes.classes}, one row erased", points)


def _point(size: int, data: Data) -> Point:
    return Point(size, **beside_refit(data))
