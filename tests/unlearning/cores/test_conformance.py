"""Every adapter, held to the conformance suite."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.unlearning.cores import backbones
from tests.unlearning.cores.conformance import Conformance
from unlearning.cores import Library, huggingface


def images(count):
    rng = np.random.default_rng(7)
    encoded = []
    for shape in rng.integers(3, 60, (count, 2)):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (*shape, 3), np.uint8)).save(file, "PNG")
        encoded.append(file.getvalue())
    return encoded


class TestFeatures(Conformance):
    @pytest.fixture(scope="class")
    @classmethod
    def package(cls):
        return Library().find("features:12").open()

    @pytest.fixture(scope="class")
    @classmethod
    def samples(cls):
        return np.random.default_rng(1).normal(size=(11, 12)).astype(np.float32)


class TestEfficientNetLite(Conformance):
    @pytest.fixture(scope="class", params=["0", "0-imagenet", "2"])
    @classmethod
    def package(cls, request):
        return Library().find(f"efficientnet-lite{request.param}").open()

    @pytest.fixture(scope="class")
    @classmethod
    def samples(cls):
        return images(11)


class TestHuggingFaceImages(Conformance):
    @pytest.fixture(
        scope="class", params=[backbones.vit, backbones.resnet, backbones.headed_resnet]
    )
    @classmethod
    def package(cls, request, tmp_path_factory):
        source = request.param(tmp_path_factory.mktemp("source"))
        return huggingface.pack(source, "mine", "random numbers")

    @pytest.fixture(scope="class")
    @classmethod
    def samples(cls):
        return images(11)


class TestHuggingFaceTexts(Conformance):
    @pytest.fixture(scope="class", params=[backbones.bert, backbones.headed_bert])
    @classmethod
    def package(cls, request, tmp_path_factory):
        source = request.param(tmp_path_factory.mktemp("source"))
        return huggingface.pack(source, "mine", "random numbers")

    @pytest.fixture(scope="class")
    @classmethod
    def samples(cls):
        rng = np.random.default_rng(3)
        return [" ".join(rng.choice(backbones.WORDS[1:], n)) for n in (*range(3, 14), 16)]


class TestSentenceEncoder(Conformance):
    # Of the adapter, which the small encoder above is held to.
    test_layers_must_be_those_of_the_network = None
    test_weights_must_be_there_and_in_their_shapes = None
    test_a_row_depends_not_on_other_threads = None

    @pytest.fixture(scope="class")
    @classmethod
    def package(cls):
        return Library().find("all-minilm-l6-v2").open()

    @pytest.fixture(scope="class")
    @classmethod
    def samples(cls):
        return [
            "Yes.",
            "No.",
            "A cat sat on the mat.",
            "The committee lost the letter.",
            "The committee found the letter.",
            "多語言 – ünïcödé ☃",
            " ".join(["Nobody will ever read all of this."] * 12),
            "x = f(y) + 1",
            "Where is it?",
        ]
