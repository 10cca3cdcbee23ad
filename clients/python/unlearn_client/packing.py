"""Many small things into few messages of bounded size."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from unlearn.v1.model_pb2 import AddSamplesRequest, Sample

T = TypeVar("T")

MAX_BATCH_BYTES = 4 * 2**20
MAX_BATCH_SAMPLES = 512

# A field's tag and the length before its bytes: at most this for what fits a message.
FRAMING_BYTES = 6


def pack(
    items: Iterable[T], size: Callable[[T], int], *, max_bytes: int, max_items: int
) -> Iterator[list[T]]:
    """Groups neighbours, in order, as long as a group stays within both limits.

    An item that is too large by itself gets a group of its own.
    """
    group: list[T] = []
    group_bytes = 0
    for item in items:
        item_bytes = size(item)
        if group and (group_bytes + item_bytes > max_bytes or len(group) == max_items):
            yield group
            group, group_bytes = [], 0
        group.append(item)
        group_bytes += item_bytes
    if group:
        yield group


def pack_samples(model: str, samples: Iterable[Sample]) -> Iterator[AddSamplesRequest]:
    """The messages that carry samples to a model; each is one transaction."""
    room = MAX_BATCH_BYTES - FRAMING_BYTES - len(model.encode())
    groups = pack(samples, _framed_bytes, max_bytes=room, max_items=MAX_BATCH_SAMPLES)
    for group in groups:
        yield AddSamplesRequest(model=model, samples=group)


def _framed_bytes(sample: Sample) -> int:
    return sample.ByteSize() + FRAMING_BYTES
