r"""What each row is worth: the derivative of a held-out error with respect to its weight.

Of l = sum_i ||r_i||^2 over the rows that count, r_i their residuals when their group is left
out (``leave_one_out`` has the symbols), S(j) the group of row j:

    dl/da_j = sum_{S != S(j)} <G_jS p_S, e_j + G_jS D r_S>
            = u_j' (sum_S U_S p_S) e_j + u_j' (sum_S U_S p_S r_S' D U_S') u_j - <(G p)_j, r_j>

(Golatkar et al., DIVA: Dataset Derivative of a Learning Task, ICLR 2022, section 3, whose printed
form is 0/0 at a_j = 0), so that no n x n matrix is left: O(n d^2) work, O(d^2) memory besides a
block of rows and its groups. Of the quadratic form the symmetric part counts, to which a row that
is alone adds a negative square: half the work. A row's own group does not depend on its weight.
For a group that was refitted the sum's term is <psi_j' pull, t_j - W' psi_j>, which loses nothing;
each such group takes O(d^3) work and O(d C) memory.

The sum l depends on a and lam as on their multiples, so sum_j a_j dl/da_j = -lam dl/dlam: under the
ridge with the least l the derivatives sum to 0, and under a larger one to less.

Of l_val = sum_v ||e_v||^2 over the rows that count, in the fit or, with weight 0, not:

    dl_val/da_j = psi_j' A^-1 (sum_v psi_v q_v') e_j,   q_v = -2 e_v
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unlearning import blas
from unlearning.errors import InvalidInputError
from unlearning.leave_one_out import LeftOut, Refit, leave_out, of_members, products
from unlearning.weighted_fit import Rows, WeightedFit

_Floats = NDArray[np.float64]
Source = Callable[[], Iterable[Rows]]
"""Gives the blocks of all rows, the same each time."""


class Derivatives(NamedTuple):
    """Of a block of rows, in squared target units.

    Attributes:
        derivatives: dl/da, shape (k,); positive where more weight raises the error.
        held_out_errors: ||r||^2, shape (k,).
    """

    derivatives: _Floats
    held_out_errors: _Floats


def leave_out_derivatives(fit: WeightedFit, source: Source) -> Iterator[Derivatives]:
    """dl/da of every row, block by block. Reads the rows twice."""
    d, C = fit.W.shape
    M, K = np.zeros((d, C), order="F"), np.zeros((d, d), order="F")
    refits: list[Refit] = []
    for rows in source():
        left = leave_out(fit, rows)
        blas.add_product(M, 1.0, left.U, left.p)
        _add_quadratic(K, left, rows)
        refits += left.refits
    K[np.diag_indices(d)] /= 2  # u' K u is twice that of the lower triangle alone
    for rows in source():
        left = leave_out(fit, rows)
        linear = (blas.product(left.U.T, M) * left.errors).sum(axis=1)
        quadratic = 2 * (blas.triangle_product(K, left.U) * left.U).sum(axis=0)
        own = (left.own * left.residuals).sum(axis=1)
        derivatives = linear + quadratic - own + _of_refits(refits, rows)
        yield Derivatives(derivatives, np.square(left.residuals).sum(axis=1))


def validation_derivatives(fit: WeightedFit, source: Source) -> Iterator[_Floats]:
    """dl_val/da of every row, shape (k,), block by block. Reads the rows twice.

    Raises InvalidInputError if no row counts.
    """
    moments, counted = np.zeros_like(fit.B), False
    for rows in source():
        chosen = rows[rows.counts]
        counted = counted or len(chosen) > 0
        q = -2.0 * fit.residuals(chosen)
        blas.add_product(moments, 1.0, chosen.in_float64.T, q)
    if not counted:
        raise InvalidInputError(
            "objective",
            "no sample is there to validate on",
            "retain some as CORE",
        )
    pull = fit.solve(moments)
    for rows in source():
        yield (blas.product(rows.in_float64, pull) * fit.residuals(rows)).sum(axis=1)


def _add_quadratic(K: _Floats, left: LeftOut, rows: Rows) -> None:
    """K += sum_S U_S p_S r_S' D U_S', its symmetric part's lower triangle."""
    weighted = rows.weights[:, None] * left.residuals
    for members in left.members:
        U = of_members(left.U, members)
        pairs = left.p[members] @ weighted[members].transpose(0, 2, 1)
        if members.shape[1] == 1:  # pairs of one number, at most 0
            blas.add_outer_product(K, -1.0, (np.sqrt(-pairs[:, 0]) * U[:, 0]).T)
        else:
            spread = products(pairs, U)
            blas.add_symmetric_part(K, *(Z.reshape(-1, len(K)).T for Z in (U, spread)))


def _of_refits(refits: Iterable[Refit], rows: Rows) -> _Floats:
    total, psi = np.zeros(len(rows)), rows.in_float64
    for refit in refits:
        residuals = rows.t - blas.product(psi, refit.W)
        terms = (blas.product(psi, refit.pull) * residuals).sum(axis=1)
        total += np.where(rows.groups == refit.group, 0.0, terms)
    return total
