"""Chooses feature map and ridge by the error on CORE samples that are left out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from uuid import uuid4

from unlearn.v1.model_pb2 import Model, Sample, UserWeights
from unlearn_client.client import Client

FACTORS = (0.1, 1.0, 10.0, 100.0)
"""Of the core's own ridge, to try."""


class Tried(NamedTuple):
    """A setting, and its leave-one-out error in squared target units."""

    feature_map: str
    ridge: float
    error: float


def attempts(
    client: Client,
    core: str,
    classes: Sequence[str],
    user_weights: UserWeights,
    feature_maps: Sequence[str],
    samples: Callable[[], Iterable[Sample]],
) -> Iterator[Tried]:
    """Every map with every ridge, on models that are deleted again. Nothing is learned of users.

    Args:
        client: where to.
        core: of the model to be.
        classes: of the model to be.
        user_weights: its other settings.
        feature_maps: to try.
        samples: gives the CORE samples, the same each time.
    """
    for feature_map in feature_maps:
        asked = UserWeights()
        asked.CopyFrom(user_weights)
        asked.feature_map = feature_map
        with _passing(client, core, classes, asked) as model:
            client.add_samples(model.name, samples())
            for factor in FACTORS:
                ridge = factor * model.user_weights.ridge
                error = client.estimate_error(model.name, ridge=ridge).error
                yield Tried(model.user_weights.feature_map, ridge, error)


@contextmanager
def _passing(
    client: Client, core: str, classes: Sequence[str], user_weights: UserWeights
) -> Iterator[Model]:
    """A model that is deleted in the end."""
    model = client.create_model(f"tuning-{uuid4()}", core, classes, user_weights=user_weights)
    try:
        yield model
    finally:
        client.delete_model(model.name)
