"""Chooses the ridge that samples are valued under, by false alarms among CORE samples.

Under the ridge with the least held-out error the derivatives of all samples sum to 0, so that many
right labels are above it; under a stronger one the sum is below. CORE samples' labels are known to
be right: what is proposed of them is a false alarm.
"""

from collections.abc import Callable, Sequence

from unlearn.v1.valuation_pb2 import Derivative

FACTORS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Of the model's own ridge, to try."""

FALSE_ALARMS = 0.05
"""The most that are put up with, as a part of the CORE samples."""

FEWEST_CORE = 20
"""Of fewer, not even one false alarm would be put up with."""


def calibrate(
    values_under: Callable[[float], Sequence[Derivative]], own: float, epsilon: float
) -> tuple[float, Sequence[Derivative]]:
    """The least ridge that is tried with few false alarms, or the strongest; and its values.

    Args:
        values_under: all samples' values under a ridge.
        own: the model's ridge, which it is without enough CORE samples.
        epsilon: what a derivative must be above for an alarm.
    """
    ridge, values = own, values_under(own)
    for factor in FACTORS[1:]:
        alarms = [value.derivative > epsilon for value in values if value.core]
        if len(alarms) < FEWEST_CORE or sum(alarms) <= FALSE_ALARMS * len(alarms):
            break
        ridge = factor * own
        values = values_under(ridge)
    return ridge, values
