"""Samples and tensors travel in bounded messages, in order, and none is lost."""

import struct
from itertools import chain

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlearn.v1.model_pb2 import Features, Sample
from unlearn_client import SampleFileError, UnlearnError
from unlearn_client.packing import MAX_BATCH_BYTES, MAX_BATCH_SAMPLES, pack_samples
from unlearn_client.tensors import feature_tensors, image_tensors

MESSAGE = 8 * 2**20


def sample(number: int, size: int = 10) -> Sample:
    return Sample(sample_id=str(number), image=bytes(size), label=0)


@settings(max_examples=40)
@given(st.lists(st.sampled_from([0, 1, 127, 128, 4000, 2**19, 2**20, 3 * 2**20, 2**22])))
def test_packing_keeps_limits_and_order(sizes):
    samples = [sample(number, size) for number, size in enumerate(sizes)]
    messages = list(pack_samples("models/pets", samples))
    assert [s for message in messages for s in message.samples] == samples
    for message in messages:
        assert message.model == "models/pets"
        assert message.samples
        assert message.ByteSize() <= MAX_BATCH_BYTES or len(message.samples) == 1


@given(st.integers(0, 3 * MAX_BATCH_SAMPLES))
def test_packing_fills_messages(count):
    lengths = [len(m.samples) for m in pack_samples("m", [sample(0, 0)] * count)]
    assert sum(lengths) == count
    assert all(length == MAX_BATCH_SAMPLES for length in lengths[:-1])


def test_adding_reports_what_was_stored(client, book):
    count, told = MAX_BATCH_SAMPLES + 1, []
    added = client.add_samples("pets", map(sample, range(count)), told.append)
    assert added.added == count
    assert told == [count - 1, count]
    messages = [list(m.samples) for stream in book.requests["AddSamples"] for m in stream]
    messages.sort(key=len, reverse=True)  # two are on their way, and either may be first
    assert [*chain(*messages)] == [sample(number) for number in range(count)]
    assert all(m.model == "models/pets" for stream in book.requests["AddSamples"] for m in stream)


def test_an_error_of_the_samples_themselves_passes_through(client):
    def samples():
        yield sample(0)
        raise SampleFileError("a.csv", "is odd", row=2)

    with pytest.raises(SampleFileError, match=r"a\.csv, row 2: is odd"):
        client.add_samples("pets", samples())


def test_a_refused_sample_is_located_among_all(client, book, failure):
    where = {"message": "0", "sample": "7"}
    invalid = failure(grpc.StatusCode.INVALID_ARGUMENT, "odd", "SAMPLE_INVALID", where)
    told = []

    def progress(count: int) -> None:
        told.append(count)
        book.failures["AddSamples"] = [invalid]

    with pytest.raises(UnlearnError) as raised:
        client.add_samples("pets", map(sample, range(3 * MAX_BATCH_SAMPLES)), progress)
    assert told == [MAX_BATCH_SAMPLES, 2 * MAX_BATCH_SAMPLES][: len(told)]
    assert raised.value.metadata["position"] == str(len(told) * MAX_BATCH_SAMPLES + 7)


def test_predicting_images(client, book):
    images = [b"one", b"", b"three"]
    prediction = client.predict("pets", images=images)
    assert prediction.logits.dtype == np.float32
    assert prediction.logits.tolist() == [[0, 0, 0], [1, 0, 0], [2, 0, 0]]
    assert prediction.classes == ["cat", "dog", "7"]
    assert prediction.labels == ["cat"] * 3
    sent = book.requests["ModelInfer"][0]
    assert sent.model_name == "pets"
    assert (sent.inputs[0].datatype, list(sent.inputs[0].shape)) == ("BYTES", [3])
    assert sent.raw_input_contents[0] == b"\3\0\0\0one\0\0\0\0\5\0\0\0three"


def test_predicting_features_in_several_messages(client, book):
    features = np.arange(3_000 * 1281, dtype=np.float32).reshape(3_000, 1281)
    assert client.predict("models/pets", features=features).logits.shape == (3_000, 3)
    sent = book.requests["ModelInfer"]
    assert len(sent) == 2
    assert all(message.ByteSize() < MESSAGE for message in sent)
    assert b"".join(m.raw_input_contents[0] for m in sent) == features.tobytes()


def test_predicting_nothing(client, book):
    assert client.predict("pets", images=[]).logits.shape == (0, 3)
    assert client.predict("pets", features=np.empty((0, 5), np.float32)).labels == []
    assert not book.requests["ModelInfer"]


def test_predicting_wants_one_kind_of_input(client):
    with pytest.raises(ValueError, match="either images, texts or features"):
        client.predict("pets")
    with pytest.raises(ValueError, match="matrix"):
        client.predict("pets", features=np.zeros(3, np.float32))


def test_an_answer_without_logits_is_an_error(client, book):
    book.outputs = "something"
    with pytest.raises(UnlearnError, match="MALFORMED_ANSWER"):
        client.predict("pets", images=[b"x"])


@settings(max_examples=40)
@given(st.lists(st.sampled_from([0, 5, 2**20, 5 * 2**20, 9 * 2**20]), max_size=12))
def test_image_tensors_keep_the_limit_and_the_images(sizes):
    found = []
    for tensor in image_tensors([bytes(size) for size in sizes]):
        raw, offset = tensor.raw, 0
        for _ in range(tensor.shape[0]):
            (length,) = struct.unpack_from("<I", raw, offset)
            offset += 4 + length
            found.append(length)
        assert offset == len(raw)
        assert len(raw) < MESSAGE or tensor.shape == (1,)
    assert found == sizes


@given(st.integers(0, 5000), st.integers(1, 3000))
def test_feature_tensors_keep_the_limit_and_the_rows(rows, width):
    features = np.zeros((rows, width), np.float32)
    tensors = list(feature_tensors(features))
    assert sum(tensor.shape[0] for tensor in tensors) == rows
    assert all(len(t.raw) == 4 * width * t.shape[0] < MESSAGE for t in tensors)


def test_a_sample_of_features_is_packed_by_its_bytes():
    samples = [Sample(features=Features(values=[1.0] * 4096), label=0)] * 300
    assert [len(m.samples) for m in pack_samples("m", samples)] == [255, 45]
