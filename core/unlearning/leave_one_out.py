r"""What each group of rows is to a fit that never saw it, in closed form.

Leaving a group with rows S out of the fit (``weighted_fit``; e its residuals, D = diag(a_S))
changes its residuals to

    r_S = (I - G_SS D)^-1 e_S,   G = psi A^-1 psi' = U'U,

which for a single row is e / (1 - h) with its leverage h = a G (Golatkar et al., DIVA,
NeurIPS 2021, eq. 3; Cook and Weisberg, Residuals and Influence in Regression, 1982, section
2.2.3). With lam > 0 no leverage reaches 1, but near 1 the difference from 1 is lost to
rounding. Such a group is left out by refitting without it, and so is one of more than d rows.

A sum sum_S <q_S, r_S> changes with the weight of a row j outside S by <G_jS p_S, e_j + G_jS D r_S>
(see ``dataset_derivative``), where

    p_S = (I - G_SS D)^-T q_S,   G_SS p_S = (I - G_SS D)^-1 G_SS q_S.

A fit of no rows is W = 0: of a single row or group, r = t.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unlearning import blas
from unlearning.errors import InvalidInputError
from unlearning.weighted_fit import Rows, WeightedFit

_LARGEST_LEVERAGE = 1 - 2.0**-10
"""Of a group: the largest eigenvalue of D^1/2 G_SS D^1/2. Beyond it three digits are lost."""

_Floats = NDArray[np.float64]
_Members = NDArray[np.intp]


class Refit(NamedTuple):
    """A group that was left out by refitting.

    Attributes:
        group: which.
        W: of the fit of all others, shape (d, C).
        pull: its A^-1 psi_S' q_S, shape (d, C).
    """

    group: int
    W: _Floats
    pull: _Floats


@dataclass(frozen=True)
class LeftOut:
    """Rows, each seen by the fit without its group.

    Attributes:
        U: K^-1 psi', shape (d, k).
        errors: e, of the fit of all, shape (k, C).
        residuals: r, of the fits without each row's group, shape (k, C).
        p: as above with q = -2 r for rows that count, else 0, shape (k, C); 0 in refitted groups.
        own: G_SS p_S, shape (k, C); 0 in refitted groups.
        members: of the groups that were not refitted, by size: indices, each of shape (b, m).
        refits: the other groups.
    """

    U: _Floats
    errors: _Floats
    residuals: _Floats
    p: _Floats
    own: _Floats
    members: list[_Members]
    refits: list[Refit]


@dataclass(frozen=True)
class HeldOutError:
    """How well samples are predicted without themselves.

    Attributes:
        error: the mean of ||r||^2, in squared target units.
        accuracy: the part whose class has the largest logit, the first of equals.
        samples: how many.
    """

    error: float
    accuracy: float
    samples: int


def leave_out(fit: WeightedFit, rows: Rows) -> LeftOut:
    """Leaves each group of the rows out of the fit that they are in."""
    U, errors = fit.whiten(rows.in_float64), fit.residuals(rows)
    r, p, own = np.zeros_like(errors), np.zeros_like(errors), np.zeros_like(errors)
    left = LeftOut(U, errors, r, p, own, [], [])
    for members in _by_size(rows.groups):
        is_far = np.zeros(len(members), np.bool_)
        if members.shape[1] <= len(fit.W):
            is_far = _leave_out_by_subtraction(left, rows, members)
        for refitted in members[~is_far]:
            _leave_out_by_refitting(fit, left, rows, refitted)
        if is_far.any():
            left.members.append(members[is_far])
    return left


def held_out_error(pairs: Iterable[tuple[_Floats, _Floats]]) -> HeldOutError:
    """Sums up blocks of residuals r of f with what f is fitted to, alpha * onehot(y).

    Raises InvalidInputError if there are none.
    """
    error, correct, samples = 0.0, 0, 0
    for r, targets in pairs:
        error += float(np.square(r).sum())
        correct += int(((targets - r).argmax(axis=1) == targets.argmax(axis=1)).sum())
        samples += len(r)
    if not samples:
        raise InvalidInputError("samples", "there are none to measure an error on", "add some")
    return HeldOutError(error / samples, correct / samples, samples)


def of_members(U: _Floats, members: _Members) -> _Floats:
    """The columns of U (d, k) as rows of groups, shape (b, m, d); a view where these are all."""
    b, m = members.shape
    is_all = b * m == U.shape[1] and bool((np.diff(members.ravel()) == 1).all())
    return U.T.reshape(b, m, -1) if is_all else U.T[members]


def products(A: _Floats, B: _Floats) -> _Floats:
    """A_i B_i, for A (b, m, k) and B (b, k, n), on the engine's own BLAS."""
    if A.shape[1] == 1:
        return np.asarray(np.einsum("bmk,bkn->bmn", A, B))
    return np.stack([blas.product(*pair) for pair in zip(A, B, strict=True)])


def _leave_out_by_subtraction(left: LeftOut, rows: Rows, members: _Members) -> NDArray[np.bool_]:
    """Fills in what leverages allow, shape (b,)."""
    U, a = of_members(left.U, members), rows.weights[members]
    G = products(U, U.transpose(0, 2, 1))
    root = np.sqrt(a)
    leverages = np.linalg.eigvalsh(root[:, :, None] * G * root[:, None, :])[:, -1]
    is_far: NDArray[np.bool_] = leverages < _LARGEST_LEVERAGE
    G, a, members = G[is_far], a[is_far], members[is_far]
    T = np.linalg.inv(np.eye(G.shape[1]) - G * a[:, None, :])
    r = T @ left.errors[members]
    q = _q(rows, members, r)
    left.residuals[members] = r
    left.p[members] = T.transpose(0, 2, 1) @ q
    left.own[members] = T @ (G @ q)
    return is_far


def _leave_out_by_refitting(fit: WeightedFit, left: LeftOut, rows: Rows, members: _Members) -> None:
    group = rows[members]
    others = fit.without(group)
    r = others.residuals(group)
    moments = blas.product(group.in_float64.T, _q(rows, members, r))
    left.residuals[members] = r
    left.refits.append(Refit(int(group.groups[0]), others.W, others.solve(moments)))


def _q(rows: Rows, members: _Members, r: _Floats) -> _Floats:
    return -2.0 * rows.counts[members][..., None] * r


def _by_size(groups: NDArray[np.int64]) -> Iterator[_Members]:
    """Indices of the rows of each group, shape (b, m) for all groups of m rows."""
    order = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    for size in np.unique(sizes):
        yield order[starts[sizes == size][:, None] + np.arange(size)]
