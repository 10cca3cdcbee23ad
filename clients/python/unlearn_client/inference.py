"""Predictions through the Open Inference Protocol v2."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import grpc
import numpy as np
from numpy.typing import NDArray

from unlearn.v1.model_pb2 import GetModelRequest
from unlearn_client.connection import Connection
from unlearn_client.errors import UnlearnError
from unlearn_client.names import model_id, model_name
from unlearn_client.tensors import (
    Tensor,
    feature_tensors,
    image_tensors,
    infer_request,
    logits_of,
    text_tensors,
)


@dataclass(frozen=True)
class Prediction:
    """What a model says of n inputs.

    Attributes:
        logits: (n, C) float32, in the order of the inputs.
        classes: the label of each of the C columns.
    """

    logits: NDArray[np.float32]
    classes: list[str]

    @property
    def labels(self) -> list[str]:
        """The likeliest class of each input."""
        return [self.classes[index] for index in self.logits.argmax(axis=1)]


class InferenceCalls(Connection):
    """Calls to the model that is served."""

    def predict(
        self,
        model: str,
        *,
        images: Sequence[bytes] | None = None,
        texts: Sequence[str] | None = None,
        features: NDArray[np.float32] | None = None,
    ) -> Prediction:
        """Classifies images (PNG or JPEG), texts, or rows of the core's features (n, d).

        Raises:
            UnlearnError: the service refused it, or did not answer in time.
            ValueError: not exactly one of images, texts and features, or no matrix.
        """
        tensors = _tensors(images, texts, features)
        classes = list(
            self._call(self._models.GetModel, GetModelRequest(name=model_name(model))).classes
        )
        parts = [self._infer(model, tensor) for tensor in tensors]
        empty = np.empty((0, len(classes)), dtype=np.float32)
        return Prediction(np.concatenate([empty, *parts]), classes)

    def _infer(self, model: str, tensor: Tensor) -> NDArray[np.float32]:
        response = self._call(self._inference.ModelInfer, infer_request(model_id(model), tensor))
        try:
            return logits_of(response)
        except ValueError as error:
            raise UnlearnError(
                grpc.StatusCode.INTERNAL, f"unreadable answer: {error}", "MALFORMED_ANSWER"
            ) from error


def _tensors(
    images: Sequence[bytes] | None,
    texts: Sequence[str] | None,
    features: NDArray[np.float32] | None,
) -> Iterator[Tensor]:
    if sum(given is not None for given in (images, texts, features)) != 1:
        raise ValueError("pass either images, texts or features")
    if images is not None:
        return image_tensors(images)
    if texts is not None:
        return text_tensors(texts)
    assert features is not None  # noqa: S101 # one of the three is given
    return feature_tensors(features)
