"""The cores that are compared, and how each is made."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.benchmarks.pretraining.sets import EVEN, FASHION, ODD, STAMPS
from unlearning.pretraining.training import Schedule

CROSS_ENTROPY, CONTRAST, CIDS = "cross-entropy", "contrast without labels", "CIDS"
ALL_POSITIVES = "CIDS, all positives alike"
CONSOLIDATION, NOTHING = "consolidation", "nothing"
SUPERVISION = (CIDS, CONTRAST, CROSS_ENTROPY)

SMALL, LITE = "small", "efficientnet-lite0"
SIZES = {SMALL: 28, LITE: 64}
POOLED = {SMALL: "3:1x1", LITE: "16:1x1"}
"""The last layer of each encoder, averaged over the image."""

SCHEDULES = {
    (SMALL, CIDS): Schedule(1200, 64, 1e-3, 0, 200),
    (LITE, CIDS): Schedule(200, 32, 1e-4, 0, 50),
    (LITE, CONSOLIDATION): Schedule(200, 32, 3e-4, 0, 50),
}
"""Cross-entropy and contrast take as many steps as CIDS, on as many images, as fast."""

SETTINGS = {"temperature": 0.1, "momentum": 0.99, "queue": 1024}
POSITIVES = {CIDS: 1, ALL_POSITIVES: SETTINGS["queue"], CONTRAST: 1}
"""Of contrast, which without labels knows but one."""


@dataclass(frozen=True)
class Plan:
    """One core.

    Attributes:
        encoder: SMALL from scratch, or LITE from its ImageNet weights on.
        method: what is minimised.
        data, parity: what it learns, of which half of the classes.
        teachers: of a student, other plans.
        seed: of all that is drawn.
    """

    encoder: str
    method: str
    data: str = ""
    parity: int = EVEN
    teachers: tuple[str, ...] = ()
    seed: int = 0

    @property
    def schedule(self) -> Schedule:
        """How long it is trained."""
        method = CONSOLIDATION if self.method == CONSOLIDATION else CIDS
        return replace(SCHEDULES[self.encoder, method], seed=self.seed)

    def again(self, seed: int) -> "Plan":
        """The same from another seed, by teachers of that seed."""
        return replace(self, seed=seed, teachers=tuple(again(t, seed) for t in self.teachers))


IMAGENET, RANDOM = "imagenet", "random"
_SHORT = {CIDS: "cids", ALL_POSITIVES: "cids-all", CONTRAST: "contrast", CROSS_ENTROPY: "classes"}
_PARITIES = {EVEN: "even", ODD: "odd"}


def small(method: str, parity: int) -> str:
    """The name of a small encoder of Fashion-MNIST."""
    return f"small-{_SHORT[method]}-{_PARITIES[parity]}"


def fine_tuned(method: str) -> str:
    """The name of an EfficientNet of stamps."""
    return f"lite-{_SHORT[method]}-stamps"


def again(core: str, seed: int) -> str:
    """The name of a core of seed 0 that is made from another seed; ImageNet's weights have none."""
    return core if seed == 0 or core == IMAGENET else f"{core}-{seed}"


SPECIALISTS = {FASHION: "lite-classes-fashion", STAMPS: fine_tuned(CROSS_ENTROPY)}
STUDENTS = {FASHION: "student-both-fashion", STAMPS: "student-both-stamps"}
LONE_STUDENTS = {FASHION: "student-alone-fashion", STAMPS: "student-alone-stamps"}
"""Of the generalist and the specialist, and of the specialist alone."""

PLANS: Mapping[str, Plan] = {
    RANDOM: Plan(SMALL, NOTHING),
    IMAGENET: Plan(LITE, NOTHING),
    **{
        small(method, parity): Plan(SMALL, method, FASHION, parity)
        for parity in (EVEN, ODD)
        for method in SUPERVISION
    },
    small(ALL_POSITIVES, EVEN): Plan(SMALL, ALL_POSITIVES, FASHION),
    **{fine_tuned(method): Plan(LITE, method, STAMPS) for method in SUPERVISION},
    SPECIALISTS[FASHION]: Plan(LITE, CROSS_ENTROPY, FASHION),
    **{
        name: Plan(LITE, CONSOLIDATION, teachers=(IMAGENET, SPECIALISTS[data]))
        for data, name in STUDENTS.items()
    },
    **{
        name: Plan(LITE, CONSOLIDATION, teachers=(SPECIALISTS[data],))
        for data, name in LONE_STUDENTS.items()
    },
}
"""Of seed 0, in an order in which teachers come first."""

SEEDS = (0, 1, 2)


def trainings(core: str) -> list[str]:
    """The names of a core of seed 0 and of the same from every other seed."""
    return [again(core, seed) for seed in SEEDS]


EVERY_PLAN: Mapping[str, Plan] = {
    again(name, seed): plan.again(seed) for name, plan in PLANS.items() for seed in SEEDS
} | PLANS
