"""Rows small enough for fractions, and what refits of them say."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from unlearning.reference import rational_residuals, rational_residuals_left_out
from unlearning.weighted_fit import Rows, WeightedFit

Floats = NDArray[np.float64]
Fractions = NDArray[Any]

D, C, ALPHA = 3, 2, 15.0


@dataclass(frozen=True)
class Case:
    """Rows under a ridge."""

    rows: Rows
    ridge: float

    @property
    def fit(self) -> WeightedFit:
        return WeightedFit.of_rows([self.rows], self.ridge)

    @property
    def a(self) -> Fractions:
        return np.array([Fraction(value) for value in self.rows.weights], object)

    @property
    def fits(self) -> list[WeightedFit]:
        """Of all, and without each group."""
        groups = self.rows.groups
        others = [self.fit.without(self.rows[groups == group]) for group in np.unique(groups)]
        return [self.fit, *others]

    @property
    def lost(self) -> float:
        """What float64 may lose, relative to the targets."""
        lower = [np.tril(fit.A) for fit in self.fits]
        return 1e-12 + 2.0**-49 * max(np.linalg.cond(A + np.tril(A, -1).T) for A in lower)

    @property
    def reach(self) -> float:
        """The most that a residual can move with a weight, relative to the targets."""
        psi = self.rows.psi
        return max(1.0, *(np.square(fit.whiten(psi)).sum(axis=0).max() for fit in self.fits))

    def errors(self, a: Fractions) -> Fractions:
        """e of every row."""
        return rational_residuals(self.rows.psi, self.rows.t, a, Fraction(self.ridge))

    def residuals(self, a: Fractions) -> Fractions:
        """r of every row."""
        rows, ridge = self.rows, Fraction(self.ridge)
        return rational_residuals_left_out(rows.psi, rows.t, rows.groups, a, ridge)

    def blocks(self, size: int) -> list[Rows]:
        """So many groups at a time, whole, each block's rows mixed."""
        return [self.rows[part] for part in self.parts(size)]

    def parts(self, size: int) -> list[NDArray[np.intp]]:
        """The indices of each block's rows."""
        groups = np.unique(self.rows.groups)
        starts = range(0, len(groups), size)
        return [
            np.flatnonzero(np.isin(self.rows.groups, groups[start : start + size]))
            for start in starts
        ]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Rows that repeat, columns of very different size, weights of 0, leverages near 1."""
    n = draw(st.integers(1, 7))
    kinds = draw(st.lists(st.tuples(*[st.integers(-4, 4)] * (D - 1)), min_size=1, max_size=n))
    chosen = draw(_each(n, st.sampled_from(kinds)))
    scales = 2.0 ** np.array(draw(st.tuples(*[st.integers(-8, 8)] * (D - 1))))
    rows = Rows(
        psi=np.column_stack([np.array(chosen) * scales, np.ones(n)]),
        t=ALPHA * np.eye(C)[draw(_each(n, st.integers(0, C - 1)))],
        groups=np.array(draw(_each(n, st.integers(0, n - 1)))),
        weights=np.array(draw(_each(n, st.sampled_from([0.0, 0.5, 1.0, 1.0, 2.25])))),
        counts=np.array(draw(_each(n, st.booleans()))),
    )
    return Case(rows, 2.0 ** draw(st.integers(-30, 4)))


def _each(n: int, values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=n, max_size=n)
