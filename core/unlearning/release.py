"""What is released of a model, and what that tells of those who were erased."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unlearning import cg
from unlearning.cg import Progress, Stop
from unlearning.information import EXACT_ASSUMPTIONS, NOISE_ASSUMPTION, InformationBound, bound
from unlearning.lineage import Lineage
from unlearning.objective import Objective
from unlearning.rounding import SolveReport


@dataclass(frozen=True)
class Leakage:
    """What a release tells, in standard deviations of its noise (see ``gaussian_dp``).

    Attributes:
        gaussian_dp: mu against retraining; of this release and of those before it that it
            descends from.
        differencing_gaussian_dp: mu against one who also holds the release before.
        assumptions: what these rest on, in words.
    """

    gaussian_dp: float
    differencing_gaussian_dp: float
    assumptions: tuple[str, ...]

    @classmethod
    def of(cls, lineage: Lineage, objective: Objective, *more: str) -> "Leakage":
        """What the last release of a lineage tells, on the usual assumptions and some more."""
        noise = (NOISE_ASSUMPTION,) if objective.noise_scale else ()
        assumptions = (*EXACT_ASSUMPTIONS, *noise, *more)
        return cls(lineage.gaussian_dp, lineage.differencing_gaussian_dp, assumptions)

    def bound(self, cohort: int) -> InformationBound:
        """All that it implies, where the erased are so many subjects."""
        return bound(self.gaussian_dp, cohort, self.assumptions, self.differencing_gaussian_dp)


NO_LEAKAGE = Leakage(0.0, inf, EXACT_ASSUMPTIONS)
"""Of the very bits of the retrained model. Without noise, two releases in succession tell
what was erased between them, so it is the old release that leaks."""


UNBOUNDED = Leakage(inf, inf, EXACT_ASSUMPTIONS)
"""Of a release that nothing is known of."""


@dataclass(frozen=True)
class Release:
    """What is to be served.

    Attributes:
        weights: on the objective's grid, shape (d, C) for FEATURES and (p,) for TANGENT.
        report: evidence about them, or about what they were before noise.
        leakage: what they tell.
        steps: of the solve; depends on the path, for the operator's eyes only.
        margin: of the rounding, as ``rounding.Solution`` has it; None where none was proven.
    """

    weights: NDArray[np.int64]
    report: SolveReport
    leakage: Leakage
    steps: int
    margin: float | None


class ForgettingModel(Protocol):
    """Rows that come and go, and the quadratic problem that they pose.

    Attributes:
        objective: what is minimised.
    """

    objective: Objective

    @property
    def n(self) -> int:
        """Rows held."""
        ...

    @property
    def core_n(self) -> int:
        """CORE rows among them."""
        ...

    def add(
        self,
        rows: NDArray[np.int16],
        labels: NDArray[np.integer[Any]],
        is_core: NDArray[np.bool_],
    ) -> None:
        """Adds stored rows (n, row_width) of classes ``labels``; raises CapacityError."""
        ...

    def erase(self, rows: NDArray[np.int16], labels: NDArray[np.integer[Any]]) -> None:
        """Takes user rows out."""
        ...

    def erase_all_user_rows(self) -> None:
        """ZERO: leaves the CORE rows."""
        ...

    def check_capacity(self, rows: NDArray[np.int16], labels: NDArray[np.integer[Any]]) -> None:
        """Raises CapacityError, with the number that still fits, unless all rows fit."""
        ...

    def release(self, progress: Progress = cg.ignore, stop: Stop = cg.go_on) -> Release:
        """Solves on all rows, and adds the objective's noise; raises NotSolvableError."""
        ...

    def is_near(
        self, weights: NDArray[np.float64], report: SolveReport, stop: Stop = cg.go_on
    ) -> bool:
        """Whether released weights, in real units, can be of these rows.

        As far as their report, the noise and the solver allow; for weights that are not exact.
        Solves anew to tell, which ``stop`` may end by raising.
        """
        ...

    def begin_commitment(self) -> Callable[[bytes], bytes]:
        """Returns a function that commits to the rows held under a salt.

        They must not change before it was called.
        """
        ...

    def state_commitment(self, salt: bytes) -> bytes:
        """Commits to the rows held."""
        ...

    def maintain(self) -> None:
        """What can wait until an erasure is answered."""
        ...
