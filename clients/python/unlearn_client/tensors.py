"""The Open Inference Protocol's raw tensors, cut into messages of bounded size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import pack as to_bytes

import numpy as np
from numpy.typing import NDArray

from inference.open_inference_grpc_pb2 import ModelInferRequest, ModelInferResponse
from unlearn_client.packing import pack

IMAGE = "image"
TEXT = "text"
FEATURES = "features"
LOGITS = "logits"

MAX_RAW_BYTES = 8 * 2**20 - 2**12
"""8 MiB a message, less room for the names around the tensor."""

MAX_SAMPLES = 256
"""Networks cost the server time, not bytes: fewer a message keep it within its deadline."""

LENGTH_BYTES = 4


@dataclass(frozen=True)
class Tensor:
    """One input: its name, datatype, shape and row-major little-endian bytes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes


def image_tensors(images: Sequence[bytes]) -> Iterator[Tensor]:
    """Encoded images as BYTES tensors; one above the limit travels alone."""
    return _bytes_tensors(IMAGE, images)


def text_tensors(texts: Sequence[str]) -> Iterator[Tensor]:
    """Texts as BYTES tensors of UTF-8; one above the limit travels alone."""
    return _bytes_tensors(TEXT, [text.encode() for text in texts])


def _bytes_tensors(name: str, elements: Sequence[bytes]) -> Iterator[Tensor]:
    groups = pack(
        elements,
        lambda element: LENGTH_BYTES + len(element),
        max_bytes=MAX_RAW_BYTES,
        max_items=MAX_SAMPLES,
    )
    for group in groups:
        raw = b"".join(to_bytes("<I", len(element)) + element for element in group)
        yield Tensor(name, "BYTES", (len(group),), raw)


def feature_tensors(features: NDArray[np.float32]) -> Iterator[Tensor]:
    """Rows of features as FP32 tensors.

    Raises:
        ValueError: they are not a matrix.
    """
    if features.ndim != 2:
        raise ValueError(f"features must be a matrix (n, d), not of shape {features.shape}")
    little_endian = np.ascontiguousarray(features, dtype="<f4")
    rows = max(1, MAX_RAW_BYTES // max(1, little_endian.itemsize * features.shape[1]))
    for start in range(0, len(little_endian), rows):
        part = little_endian[start : start + rows]
        yield Tensor(FEATURES, "FP32", part.shape, part.tobytes())


def infer_request(model_id: str, tensor: Tensor) -> ModelInferRequest:
    """Asks for the logits of one input tensor."""
    described = ModelInferRequest.InferInputTensor(
        name=tensor.name, datatype=tensor.datatype, shape=tensor.shape
    )
    return ModelInferRequest(
        model_name=model_id,
        inputs=[described],
        outputs=[ModelInferRequest.InferRequestedOutputTensor(name=LOGITS)],
        raw_input_contents=[tensor.raw],
    )


def logits_of(response: ModelInferResponse) -> NDArray[np.float32]:
    """The logits (n, C) of an answer with raw contents.

    Raises:
        ValueError: it holds none.
    """
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=False):
        if output.name == LOGITS:
            values = np.frombuffer(raw, dtype="<f4").reshape(tuple(output.shape))
            return values.astype(np.float32)
    raise ValueError(f"no raw output {LOGITS!r}")
