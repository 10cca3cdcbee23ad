"""Forgetting on a FEATURES model: what changes in the statistics, and what is solved.

EXACT subtracts the erased rows; the solution of what remains is that of a model that
never saw them, bit for bit. ZERO drops every user row at once: W_u = 0 leaves W_c, the
solution on the CORE rows (Golatkar et al., Mixed-Privacy Forgetting, CVPR 2021,
section 3), kept ready so that nothing needs solving.
"""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearning import cg
from unlearning.agreement import is_near
from unlearning.cg import Progress, Stop
from unlearning.commitment import rows_digest, state_commitment
from unlearning.errors import NotSolvableError
from unlearning.expansion import Carried, Expansion
from unlearning.inverse import Inverse
from unlearning.lineage import Lineage
from unlearning.objective import Objective
from unlearning.perturbation import perturb_features
from unlearning.release import NO_LEAKAGE, Leakage, Release
from unlearning.rounding import Solution, SolveReport, check, solve, without
from unlearning.statistics import Statistics
from unlearning.system import System

_CROSSOVER = 4
"""Following more than d / 4 rows costs more than factoring what remains (measured)."""

_MOST_STEPS = 3
"""Passes over A that a solve takes while the inverse is good."""

_SOLVES_A_CHECK = 32


_Rows = tuple[NDArray[np.int16], NDArray[np.int64]]
"""Lattice rows psi (k, d) and their targets t (k, C)."""


class Method(StrEnum):
    """How a model forgets."""

    EXACT = "EXACT"
    NEWTON = "NEWTON"
    ZERO = "ZERO"


class MixedPrivacyModel:
    """The exact state of a FEATURES model: statistics of all rows and of the CORE rows.

    Besides them it keeps an approximate inverse and the last solution with its exact
    residual, so that forgetting starts from a correction and factors nothing. They are
    only ever a head start: without them the same bits are found from zero.

    Attributes:
        objective: what is minimised.
        everything: statistics of CORE and user rows.
        core: statistics of the CORE rows alone.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.everything = Statistics.empty(objective)
        self.core = Statistics.empty(objective)
        self._core_solution: Solution | None = None
        self._core_digest: bytes | None = None
        self._inverse: Inverse | None = None
        self._carried: Carried | None = None
        self._leaving: list[_Rows] = []
        self._lineage = Lineage()
        self._solves = self._steps = 0

    @property
    def n(self) -> int:
        """Rows held."""
        return self.everything.n

    @property
    def core_n(self) -> int:
        """CORE rows among them."""
        return self.core.n

    def add(
        self,
        rows: NDArray[np.int16],
        labels: NDArray[np.integer[Any]],
        is_core: NDArray[np.bool_],
    ) -> None:
        """Adds stored rows of classes ``labels``; raises CapacityError, see there."""
        psi, t = self.objective.fitted(rows, labels)
        self.everything.add(psi, t)
        self._start_anew()
        if is_core.any():
            self.core.add(psi[is_core], t[is_core])
            self._core_solution = self._core_digest = None

    def erase(self, rows: NDArray[np.int16], labels: NDArray[np.integer[Any]]) -> None:
        """EXACT: takes user rows out of the statistics.

        What is kept follows when it is next solved, beside a commitment that has begun.
        """
        if not len(rows):
            return
        psi, t = self.objective.fitted(rows, labels)
        self.everything.subtract(psi, t)
        if self._inverse is None:
            return
        self._leaving.append((psi, t))
        if _CROSSOVER * sum(len(psi) for psi, _ in self._leaving) > self.objective.width:
            self._start_anew()

    def erase_all_user_rows(self) -> None:
        """ZERO: leaves the statistics of the CORE rows."""
        self.everything = self.core.copy()
        self._start_anew()

    def check_capacity(self, rows: NDArray[np.int16], labels: NDArray[np.integer[Any]]) -> None:
        """Raises CapacityError, with the number that still fits, unless all rows fit."""
        self.everything.check_capacity(*self.objective.fitted(rows, labels))

    def release(self, progress: Progress = cg.ignore, stop: Stop = cg.go_on) -> Release:
        """The correctly rounded optimum on all rows, with noise if the objective has some.

        With noise too it is distributed as that of the retrained model: mu is 0. A solve is too
        short to tell of, or to stop. Raises NotSolvableError, as a fault of the machine.
        """
        del progress, stop
        solution, objective = self.solve(), self.objective
        weights, leakage = solution.weights, NO_LEAKAGE
        report = solution.report(objective, self.solver)
        if objective.noise_scale:
            released = perturb_features(
                objective, self.everything, weights, objective.noise, objective.noise_scale
            )
            self._lineage.add(objective, objective.weights(weights), 0.0, descends=False)
            weights, leakage = objective.grid(released), Leakage.of(self._lineage, objective)
            report = replace(report, correctly_rounded=False)
        return Release(weights, report, leakage, solution.steps, solution.margin)

    def is_near(
        self, weights: NDArray[np.float64], report: SolveReport, stop: Stop = cg.go_on
    ) -> bool:
        """Whether weights with noise can be a release of these rows."""
        del stop
        objective, solution = self.objective, self.solve()
        A, unit = System.of(self.everything), objective.features.step**2 / 2

        def hessian(v: NDArray[np.float64]) -> NDArray[np.float64]:
            v = np.asfortranarray(v)
            return unit * A.times(np.zeros_like(v), v).rounded

        return is_near(
            weights - objective.weights(solution.weights),
            objective,
            report.gradient_norm + solution.report(objective).gradient_norm,
            hessian,
        )

    def solve(self) -> Solution:
        """The correctly rounded optimum on all rows."""
        if self.solver == "core":
            return self.core_solution()
        solution = self._correct() or self._solve_anew()
        self._carried = solution.carried
        self._solves, self._steps = self._solves + 1, solution.steps
        return solution

    def _correct(self) -> Solution | None:
        """Solves from what is kept; None if there is nothing, or it has drifted too far."""
        if self._inverse is None or self._carried is None:
            return None
        try:
            return solve(self.everything, self._inverse, self._follow(self._inverse, self._carried))
        except NotSolvableError:
            return None

    def _follow(self, inverse: Inverse, carried: Carried) -> Expansion:
        """Where a solve starts from, once the rows that are leaving have left."""
        if not self._leaving:
            return Expansion.at(carried)
        psi, t = map(np.concatenate, zip(*self._leaving, strict=True))
        self._leaving = []
        return without(carried, inverse, psi, t)

    def _solve_anew(self) -> Solution:
        self._start_anew()  # before the new inverse takes its memory
        self._inverse = Inverse(self.everything)
        return solve(self.everything, self._inverse)

    def _start_anew(self) -> None:
        self._inverse = self._carried = None
        self._leaving = []

    @property
    def solver(self) -> str:
        """What a release of this state is called: ``core`` where no user row is left."""
        return "core" if self.n == self.core_n else "exact"

    def core_solution(self) -> Solution:
        """W_c, the optimum on the CORE rows; solved once for each state of them."""
        if self._core_solution is None:
            self._core_solution = solve(self.core, Inverse(self.core))
        return self._core_solution

    def begin_commitment(self) -> Callable[[bytes], bytes]:
        """Hashes the statistics held beside what follows, in which they must not change.

        Returns a function that waits for it and commits to them under a salt.
        """
        self.everything.G.limbs()  # settled now, since a solve would do it while G is read
        everything = rows_digest(self.everything)

        def commit(salt: bytes) -> bytes:
            if self._core_digest is None:
                self._core_digest = rows_digest(self.core)()
            return state_commitment(salt, self.objective, everything(), self._core_digest)

        return commit

    def state_commitment(self, salt: bytes) -> bytes:
        """Commits to the statistics held."""
        return self.begin_commitment()(salt)

    def maintain(self) -> None:
        """What can wait until an erasure is answered, and keeps the next one fast and sure.

        Raises InconsistentStateError if what is carried has come to be wrong.
        """
        if self._inverse is None or self._carried is None or self._leaving:
            return
        if self._solves % _SOLVES_A_CHECK == 0:
            check(self.everything, self._carried)
        if self._steps > _MOST_STEPS:
            self._inverse = None  # before the new one takes its memory
            self._inverse = Inverse(self.everything)
        self._inverse.settle()
