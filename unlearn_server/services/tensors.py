"""The tensors of the Open Inference Protocol v2: raw or typed contents, both ways.

Raw BYTES are elements each after their length as a 4-byte little-endian integer;
other raw tensors are row-major and little-endian.
"""

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference import open_inference_grpc_pb2 as pb
from unlearn_server.errors import ServiceError
from unlearn_server.services import fields
from unlearning.cores.core import Samples

_LENGTH = struct.Struct("<I")

Output = tuple[pb.ModelInferResponse.InferOutputTensor, bytes]
"""A tensor's description and its raw contents."""


def read_input(request: pb.ModelInferRequest) -> Samples:
    """The one input: ``image`` as encoded images (n), ``text`` (n), or ``features`` (n, d).

    Raises:
        ServiceError: INVALID_FIELD for what is not that.
    """
    if len(request.inputs) != 1:
        raise _bad("", f"{len(request.inputs)} tensors", "send one: image, text or features")
    tensor = request.inputs[0]
    if len(request.raw_input_contents) > 1:
        raise fields.invalid("raw_input_contents", "has several entries", "send one an input")
    raw = request.raw_input_contents[0] if request.raw_input_contents else None
    match tensor.name, tensor.datatype:
        case "image", "BYTES":
            return _elements(tensor, raw)
        case "text", "BYTES":
            return _texts(_elements(tensor, raw))
        case "features", "FP32":
            return _features(tensor, raw)
    raise _bad("", "is not known", "send image or text as BYTES, or features as FP32")


def logits_output(
    logits: NDArray[np.float32],
) -> Output:
    """The output ``logits``, FP32 (n, C), and its raw contents."""
    tensor = pb.ModelInferResponse.InferOutputTensor(
        name="logits", datatype="FP32", shape=logits.shape
    )
    return tensor, logits.astype("<f4").tobytes()


def class_output(classes: Sequence[str]) -> Output:
    """The output ``class``, BYTES (n), and its raw contents."""
    tensor = pb.ModelInferResponse.InferOutputTensor(
        name="class", datatype="BYTES", shape=[len(classes)]
    )
    encoded = [name.encode() for name in classes]
    return tensor, b"".join(_LENGTH.pack(len(name)) + name for name in encoded)


def _elements(tensor: pb.ModelInferRequest.InferInputTensor, raw: bytes | None) -> list[bytes]:
    elements = list(tensor.contents.bytes_contents) if raw is None else _raw_elements(raw)
    if list(tensor.shape) not in ([len(elements)], [len(elements), 1]):
        raise _bad("shape", f"{list(tensor.shape)} is not [{len(elements)}]", "send [n]")
    return elements


def _texts(encoded: Sequence[bytes]) -> list[str]:
    texts = []
    for row, text in enumerate(encoded):
        try:
            texts.append(text.decode())
        except UnicodeDecodeError:
            error = fields.invalid("text", "is not UTF-8", "encode it as UTF-8")
            error.metadata["sample"] = str(row)
            raise error from None
    return texts


def _raw_elements(raw: bytes) -> list[bytes]:
    elements, start = [], 0
    while start < len(raw):
        head = raw[start : start + _LENGTH.size]
        if len(head) < _LENGTH.size:
            raise _cut_short()
        start += _LENGTH.size
        (length,) = _LENGTH.unpack(head)
        if start + length > len(raw):
            raise _cut_short()
        elements.append(raw[start : start + length])
        start += length
    return elements


def _features(
    tensor: pb.ModelInferRequest.InferInputTensor, raw: bytes | None
) -> NDArray[np.float32]:
    shape = tuple(tensor.shape)
    if len(shape) != 2 or min(shape) < 0:
        raise _bad("shape", f"{list(shape)} is not a matrix", "send [n, d]")
    if raw is not None and len(raw) % 4:
        raise _cut_short()
    values = (
        np.array(tensor.contents.fp32_contents, np.float32)
        if raw is None
        else np.frombuffer(raw, "<f4").astype(np.float32)
    )
    if values.size != shape[0] * shape[1]:
        raise _bad("contents", f"{values.size} values", f"send {shape[0]} x {shape[1]}")
    return values.reshape(shape)


def _cut_short() -> ServiceError:
    return fields.invalid(
        "raw_input_contents", "ends within an element", "send each BYTES element after its length"
    )


def _bad(part: str, problem: str, fix: str) -> ServiceError:
    return fields.invalid("inputs" + (f".{part}" if part else ""), problem, fix)


def unknown_output() -> ServiceError:
    """For a requested output that there is not."""
    return fields.invalid("outputs", "one is not known", "ask for logits, class, or none for both")
