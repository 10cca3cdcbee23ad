"""Forgetting on a FEATURES model: what changes in the statistics, and what is solved.

EXACT subtracts the erased rows; the solution of what remains is that of a model that
never saw them, bit for bit. ZERO drops every user row at once: W_u = 0 leaves W_c, the
solution on the CORE rows (Golatkar et al., Mixed-Privacy Forgetting, CVPR 2021,
section 3), kept ready so that nothing needs solving.
"""

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearning.commitment import state_commitment
from unlearning.factor import Cholesky
from unlearning.objective import Objective
from unlearning.rounding import Solution, solve
from unlearning.statistics import Statistics


class Method(StrEnum):
    """How a model forgets."""

    EXACT = "EXACT"
    NEWTON = "NEWTON"
    ZERO = "ZERO"


class MixedPrivacyModel:
    """The exact state of a FEATURES model: statistics of all rows and of the CORE rows.

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

    def add(
        self,
        psi: NDArray[np.integer[Any]],
        labels: NDArray[np.integer[Any]],
        is_core: NDArray[np.bool_],
    ) -> None:
        """Adds lattice rows psi (n, d) of classes ``labels``; raises CapacityError, see there."""
        t = self.objective.targets(labels)
        self.everything.add(psi, t)
        if is_core.any():
            self.core.add(psi[is_core], t[is_core])
            self._core_solution = None

    def erase(self, psi: NDArray[np.integer[Any]], labels: NDArray[np.integer[Any]]) -> None:
        """EXACT: takes user rows out of the statistics."""
        self.everything.subtract(psi, self.objective.targets(labels))

    def erase_all_user_rows(self) -> None:
        """ZERO: leaves the statistics of the CORE rows."""
        self.everything = self.core.copy()

    def check_capacity(
        self, psi: NDArray[np.integer[Any]], labels: NDArray[np.integer[Any]]
    ) -> None:
        """Raises CapacityError, with the number that still fits, unless all rows fit."""
        self.everything.check_capacity(psi, self.objective.targets(labels))

    def solve(self) -> Solution:
        """The correctly rounded optimum on all rows."""
        if self.solver == "core":
            return self.core_solution()
        return solve(self.everything, Cholesky(self.everything))

    @property
    def solver(self) -> str:
        """What a release of this state is called: ``core`` where no user row is left."""
        return "core" if self.everything.n == self.core.n else "exact"

    def core_solution(self) -> Solution:
        """W_c, the optimum on the CORE rows; solved once for each state of them."""
        if self._core_solution is None:
            self._core_solution = solve(self.core, Cholesky(self.core))
        return self._core_solution

    def state_commitment(self, salt: bytes) -> bytes:
        """Commits to the statistics held."""
        return state_commitment(salt, self.objective, self.everything, self.core)
