"""A thin, typed client of the unlearning service; it also brings the ``unlearn`` command.

from unlearn_client import Client, Selection

with Client("localhost:50051") as client:
    erasure = client.create_erasure(Selection.subjects(["alice@example.org"]))
    erasure = client.wait_for_erasure(erasure.name)
"""

from unlearn_client.client import Client
from unlearn_client.errors import (
    SampleFileError,
    UnlearnClientError,
    UnlearnError,
    VerificationError,
)
from unlearn_client.inference import Prediction
from unlearn_client.selection import Selection

__all__ = [
    "Client",
    "Prediction",
    "SampleFileError",
    "Selection",
    "UnlearnClientError",
    "UnlearnError",
    "VerificationError",
]
