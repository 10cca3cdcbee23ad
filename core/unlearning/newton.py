r"""Forgetting on a TANGENT model: rows leave, and a Newton step follows.

On a quadratic a Newton step from anywhere is exact,

    w <- w - H_r^-1 g_r

with H and g those of the retained rows (Golatkar et al., Mixed-Privacy Forgetting, CVPR
2021, in sum form), up to the error of the conjugate gradients that solve for it. What they
leave undone is bounded afterwards: || w - w* || <= ||g|| / lam (see ``ridge``).

When to stop: at the optimum lam w* = -sum_i J_i' (J_i w* - t_i), so that lam ||w*|| / n is
at most what an average row pulls with. Solving to

    ||g|| <= ACCURACY lam ||w|| / n,   hence   || w - w* || <= ACCURACY ||w|| / n

leaves undone at most a thousandth of the pull of an average row, whether one row was erased
or many, from a warm start or a cold one, and sequences of requests add up to nothing. What is
told of ||g|| is a power of ten that it was solved to (see ``ridge_solving``).

Where the rows can all be fitted it is solved by their coefficients, w = J'a, else by the weights
(see ``ridge_solving``). A warm start takes the coefficients of the rows that are still held: what
a row that left had added is gone at once. The preconditioner of a cold solve is made anew, so that
the weights stay a function of the rows held.

Why a thousandth: a warm and a cold solve together must not differ in a logit by 1/20 of the
largest change that the erasure of one row made. That is no theorem, since a row may be fitted
arbitrarily well. On 180 dense problems (power laws of features, condition 1e3 to 1e6, n C
above and below p), taking g in its worst direction and the row fitted best, a hundredth
failed (0.16 a solve, 24 beyond 1/40). A thousandth was then tried on 300 others: 0.015 a
solve at most, none beyond 1/40; the g that solves do leave is kinder.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearning import cg
from unlearning.agreement import is_near
from unlearning.cg import Preconditioner, Progress, Stop
from unlearning.commitment import tangent_state_commitment
from unlearning.errors import CapacityError, NotSolvableError
from unlearning.lattice import TARGETS
from unlearning.lineage import Lineage
from unlearning.linearized import Linearization
from unlearning.magnitude import at_least
from unlearning.multiset import RowMultiset
from unlearning.objective import Objective
from unlearning.release import Release
from unlearning.ridge import Hessian, RidgeProblem, Solution
from unlearning.ridge_solving import by_coefficients, by_weights
from unlearning.rounding import SolveReport
from unlearning.tangent_kernel import MeanKernel
from unlearning.tangent_release import release

ACCURACY = 0.001
"""Of the pull of an average row, what a solve may leave undone."""

LARGEST_BYTES = 2**32
"""Of lattice rows in memory; solving takes several times as much."""

MOST_KERNEL_ROWS = 4096
"""A preconditioner of more would take minutes to make, and hundreds of megabytes."""

_Floats = NDArray[np.float64]
_Rows = tuple[NDArray[np.int16], NDArray[np.int32]]


class TangentModel:
    """The state of a TANGENT model: its rows.

    Attributes:
        objective: what is minimised.
    """

    def __init__(self, objective: Objective, network: Linearization) -> None:
        """Takes the core, linearised."""
        self.objective = objective
        self._network = network
        self._user = RowMultiset(objective.row_width, is_core=False)
        self._core = RowMultiset(objective.row_width, is_core=True)
        self._core_solution: Solution | None = None
        self._released: Solution | None = None
        self._kernel: MeanKernel | None = None
        self._lineage = Lineage()

    @property
    def n(self) -> int:
        """Rows held."""
        return len(self._user) + len(self._core)

    @property
    def core_n(self) -> int:
        """CORE rows among them."""
        return len(self._core)

    def add(
        self,
        rows: NDArray[np.int16],
        labels: NDArray[np.integer[Any]],
        is_core: NDArray[np.bool_],
    ) -> None:
        """Adds stored rows of classes ``labels``; raises CapacityError, see there."""
        self.check_capacity(rows, labels)
        self._user.add(rows[~is_core], labels[~is_core])
        if is_core.any():
            self._core.add(rows[is_core], labels[is_core])
            self._core_solution = None

    def erase(self, rows: NDArray[np.int16], labels: NDArray[np.integer[Any]]) -> None:
        """NEWTON: takes out user rows; raises InconsistentStateError if one is not held."""
        self._user.remove(rows, labels)

    def erase_all_user_rows(self) -> None:
        """ZERO: leaves the CORE rows."""
        self._user = RowMultiset(self.objective.row_width, is_core=False)

    def check_capacity(self, rows: NDArray[np.int16], _labels: NDArray[np.integer[Any]], /) -> None:
        """Raises CapacityError, with the number that still fits, unless all rows fit."""
        fits = LARGEST_BYTES // (2 * self.objective.row_width) - self.n
        if len(rows) > fits:
            raise CapacityError(fits, "beyond them the rows take more than 4 GiB of memory")

    @property
    def solver(self) -> str:
        """What a release of this state is called: ``core`` where no user row is left."""
        return "conjugate-gradient" if len(self._user) else "core"

    def release(self, progress: Progress = cg.ignore, stop: Stop = cg.go_on) -> Release:
        """NEWTON from the last release, with noise if the objective has some; the first is cold.

        Raises NotSolvableError; and InvalidInputError for noise too small for such weights.
        """
        solution = self.solve(self._released, progress=progress, stop=stop)
        released = release(
            self.objective,
            solution,
            self.solver,
            self._lineage,
            self.hessian,
        )
        self._released = solution
        return released

    def is_near(self, weights: _Floats, report: SolveReport, stop: Stop = cg.go_on) -> bool:
        """Whether weights can be a release of these rows, solved for from zero to compare."""
        solution = self._solve(*self._everything(), None, cg.ignore, stop)
        return is_near(
            weights - solution.weights,
            self.objective,
            report.gradient_norm + solution.gradient_norm,
            lambda v: self.hessian().times(v),  # asked for only where noise has its shape
        )

    def solve(
        self,
        start: Solution | None = None,
        *,
        progress: Progress = cg.ignore,
        stop: Stop = cg.go_on,
    ) -> Solution:
        """The optimum on all rows, to ACCURACY; changes nothing that is released.

        Args:
            start: NEWTON: what the release before was made of. Without it the solve is cold:
                from zero, and a function of the rows held alone.
            progress: told the iteration and the relative residual.
            stop: called before each iteration; may raise to end the solve.

        Raises:
            NotSolvableError: if that accuracy is not reached.
        """
        if self.solver == "core":
            return self.core_solution(progress=progress, stop=stop)
        return self._solve(*self._everything(), start, progress, stop)

    def core_solution(self, *, progress: Progress = cg.ignore, stop: Stop = cg.go_on) -> Solution:
        """The optimum on the CORE rows, always cold; solved once for each state of them."""
        if self._core_solution is None:
            rows = self._core
            self._core_solution = self._solve(rows.digests(), rows.arrays(), None, progress, stop)
        return self._core_solution

    def hessian(self) -> Hessian:
        """H of all rows in float64, as noise of its shape needs it."""
        _, (rows, _labels) = self._everything()
        J = self._network.jacobian(self.objective.psi(rows), double=True)
        return Hessian(J, self.objective.ridge_in_real_units)

    def maintain(self) -> None:
        """Nothing waits: what ZERO releases takes long to solve for, and is when it is asked."""

    def begin_commitment(self) -> Callable[[bytes], bytes]:
        """Returns a function that commits to the rows held now under a salt."""
        core = self._core.digests()
        everything = core + self._user.digests()
        return lambda salt: tangent_state_commitment(salt, self.objective, everything, core)

    def state_commitment(self, salt: bytes) -> bytes:
        """Commits to the rows held."""
        return self.begin_commitment()(salt)

    def _everything(self) -> tuple[list[bytes], _Rows]:
        """Digests, and all rows with labels, in an order that depends on nothing else."""
        (rows, labels), (more, more_labels) = self._core.arrays(), self._user.arrays()
        everything = np.concatenate([rows, more]), np.concatenate([labels, more_labels])
        return self._core.digests() + self._user.digests(), everything

    def _solve(
        self,
        digests: list[bytes],
        rows: _Rows,
        start: Solution | None,
        progress: Progress,
        stop: Stop,
    ) -> Solution:
        if not digests:
            zero = np.zeros(self._network.parameters)
            return Solution(zero, zero, 0.0, is_cold=True, steps=0, coefficients={})
        problem, accuracy = self._problem(rows), ACCURACY / len(digests)
        J = problem.precise.jacobian
        found = None
        if J.rows * J.outputs <= J.parameters:  # else they cannot all be fitted
            preconditioner = self._preconditioner(digests, problem, stop, is_cold=start is None)
            a = _coefficients(start, digests, J.outputs)
            with suppress(NotSolvableError):
                found = by_coefficients(problem, a, accuracy, preconditioner, progress, stop)
        if found is None:
            w = start.weights if start else np.zeros(J.parameters)
            found = by_weights(problem, w, accuracy, progress, stop)
        gradient = problem.gradient(found.weights)
        return Solution(
            found.weights,
            gradient.value,
            max(found.tolerance, at_least(gradient.norm)),
            is_cold=start is None,
            steps=found.iterations,
            coefficients=dict(zip(digests, found.coefficients, strict=False)),
        )

    def _problem(self, rows: _Rows) -> RidgeProblem:
        psi, t = self.objective.fitted(*rows)
        targets = np.multiply(t, TARGETS.step, dtype=np.float64)
        lam = self.objective.ridge_in_real_units
        return RidgeProblem.of(self._network, psi, targets, lam)

    def _preconditioner(
        self, digests: list[bytes], problem: RidgeProblem, stop: Stop, *, is_cold: bool
    ) -> Preconditioner | None:
        """Of these rows alone, computed anew for a cold solve; None where it takes too much."""
        J, ridge = problem.fast.jacobian, problem.fast.ridge
        if J.rows > MOST_KERNEL_ROWS:
            return None
        if is_cold or self._kernel is None or not self._kernel.covers(digests):
            values = J.mean_kernel(stop)
            if values is None or not np.isfinite(values).all():
                return None
            self._kernel = MeanKernel(digests, values)
        else:
            self._kernel = self._kernel.among(digests)
        return self._kernel.preconditioner(ridge)


def _coefficients(start: Solution | None, digests: list[bytes], outputs: int) -> _Floats:
    """Those of a start, of the rows that it shares with these; 0 of the others."""
    a = np.zeros((len(digests), outputs))
    if start:
        for i, digest in enumerate(digests):
            a[i] = start.coefficients.get(digest, 0.0)
    return a
