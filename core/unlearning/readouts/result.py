"""What the read-outs say, as data."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from math import isfinite
from typing import Any

from unlearning.readouts.intervals import Interval


class Finding(StrEnum):
    """Where what was measured lies."""

    WITHIN = "WITHIN"
    BELOW = "BELOW"
    ABOVE = "ABOVE"


@dataclass(frozen=True)
class ReadOut:
    """One figure of the model that forgot, beside what it may be.

    Attributes:
        name: what was measured; of an attack, its name first.
        measured: with confidence limits where the model's releases were sampled.
        permitted: of a comparison, retraining's value and the interval it leaves; of an attack,
            the bound on both sides of what it achieves on retrained models.
    """

    name: str
    measured: Interval
    permitted: Interval

    @property
    def finding(self) -> Finding:
        """WITHIN unless even the nearer limit of what was measured is not permitted.

        Of an attack, ABOVE says that erased samples are remembered, and BELOW that they are
        treated worse than ones never seen (over-forgetting), which gives them away as well.
        """
        if self.measured.low > self.permitted.high:
            return Finding.ABOVE
        return Finding.BELOW if self.measured.high < self.permitted.low else Finding.WITHIN

    def to_json(self) -> dict[str, Any]:
        """JSON values; null where there is no limit."""
        measured, permitted = (
            {key: value if isfinite(value) else None for key, value in asdict(interval).items()}
            for interval in (self.measured, self.permitted)
        )
        finding = self.finding.value
        return {"name": self.name, "measured": measured, "permitted": permitted, "finding": finding}


@dataclass(frozen=True)
class ReadOuts:
    """All of a run.

    Attributes:
        erased, retained, test: numbers of samples.
        shadows, pairs: worlds that the attacks learned from, and in which they were tried.
        retained_known: whether worlds differ by the noise of releases alone, or, without
            noise, by random retained rows.
        confidence: with which all intervals hold together.
        attack_accuracy, attack_tpr: the bound that the run was held against.
        comparisons: with retraining, on the data as they are.
        attacks: on many releases, beside as many retrained ones.
    """

    erased: int
    retained: int
    test: int
    shadows: int
    pairs: int
    retained_known: bool
    confidence: float
    attack_accuracy: float
    attack_tpr: float
    comparisons: tuple[ReadOut, ...]
    attacks: tuple[ReadOut, ...]

    @property
    def failed(self) -> tuple[ReadOut, ...]:
        """Those that are not permitted."""
        every = (*self.comparisons, *self.attacks)
        return tuple(one for one in every if one.finding is not Finding.WITHIN)

    @property
    def passed(self) -> bool:
        """Whether nothing refuted the claim."""
        return not self.failed

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            **asdict(self),
            "comparisons": [one.to_json() for one in self.comparisons],
            "attacks": [one.to_json() for one in self.attacks],
            "passed": self.passed,
            "failed": [one.name for one in self.failed],
        }
