"""People by number, and the calls that add, erase and predict them."""

from functools import cache
from secrets import token_bytes
from uuid import uuid4

import numpy as np

from inference.open_inference_grpc_pb2 import ModelInferRequest
from unlearn.v1.erasure_pb2 import CreateErasureRequest, Erasure, Identifiers, Selection
from unlearn.v1.model_pb2 import AddSamplesRequest, Features, Sample
from unlearn_client.tensors import feature_tensors, infer_request

MODEL_ID, CLASSES = "load", tuple("abcdefghij")
MODEL = f"models/{MODEL_ID}"
WIDTH = 32
"""As wide as exact rational arithmetic can follow in seconds."""

CORE = f"features:{WIDTH}"
ROWS = 2
"""Of one person."""


def samples_of(person: int) -> list[Sample]:
    """The rows of one person; others may have the same."""
    return [
        Sample(
            sample_id=f"{person}-{i}",
            subject_id=f"person {person}",
            features=Features(values=_bank()[(person + i) % len(_bank())]),
            label=(person + i) % len(CLASSES),
        )
        for i in range(ROWS)
    ]


def addition(person: int) -> AddSamplesRequest:
    return AddSamplesRequest(model=MODEL, samples=samples_of(person))


def erasure(person: int) -> CreateErasureRequest:
    """Each call asks anew."""
    subjects = Identifiers(ids=[f"person {person}"])
    return CreateErasureRequest(
        request_id=str(uuid4()),
        erasure=Erasure(selection=Selection(subjects=subjects)),
        commitment_salt=token_bytes(32),
    )


@cache
def prediction() -> ModelInferRequest:
    """Of one row."""
    (tensor,) = feature_tensors(np.array(_bank()[:1], np.float32))
    return infer_request(MODEL_ID, tensor)


@cache
def _bank() -> list[list[float]]:
    return np.random.default_rng(0).standard_normal((251, WIDTH), np.float32).tolist()
