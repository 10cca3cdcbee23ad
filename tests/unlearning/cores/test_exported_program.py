"""Programs of torch.export: against torch's own run of them, and bad archives."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.unlearning.cores.conformance import Conformance
from unlearning.cores import exported_program
from unlearning.cores.package import Package
from unlearning.errors import CoreError

SIZE, BATCH = 16, 4


class Network(nn.Module):
    """Convolutions, a batch norm, attention and a buffer; two outputs."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.attention = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.register_buffer("gain", torch.linspace(0.5, 1.5, 8)[:, None, None], persistent=False)

    def forward(self, x):
        maps = nn.functional.gelu(self.norm(self.stem(x))) * self.gain
        return maps, self.attention(maps.flatten(2).transpose(1, 2)).mean(1)


def network(make=Network):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return make().eval()


def save(folder, module, *, decompose=True, batch=BATCH, **options):
    program = torch.export.export(module, (torch.zeros(batch, 3, SIZE, SIZE),), **options)
    if decompose:
        program = program.run_decompositions()
    torch.export.save(program, folder / "net.pt2")
    return folder / "net.pt2"


# What torch.export itself makes use of.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def encode(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


PIXELS = np.random.default_rng(2).integers(0, 256, (6, SIZE, SIZE, 3), np.uint8)
IMAGES = [encode(pixels) for pixels in PIXELS]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return save(tmp_path_factory.mktemp("net"), network())


@pytest.fixture(scope="module")
def package(original):
    return exported_program.pack(original, "mine", "random")


@pytest.fixture
def saved(original, tmp_path):
    return Path(shutil.copy(original, tmp_path))


class Dead(nn.Module):
    """Its first layer is 0 whatever it sees."""

    def forward(self, x):
        return nn.functional.relu(x - 2), x


def test_a_layer_of_zeros_keeps_its_scale(tmp_path):
    package = exported_program.pack(save(tmp_path, Dead()), "dead", "nothing")
    assert package.description["layers"]["0"]["scale"] == 1
    assert package.digest


def test_layers_are_the_outputs_of_the_network_itself(package):
    core = exported_program.load(package)
    x = torch.from_numpy((PIXELS - np.float32(127.5)) / np.float32(127.5)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        truth = network()(x)
    for number, grid in enumerate((8, 1)):
        psi = core.extract(f"{number}:{grid}x{grid}", IMAGES)[:, :-1]
        scale = core.description["layers"][str(number)]["scale"]
        expected = truth[number].flatten(1)
        np.testing.assert_allclose(psi / scale, expected, rtol=1e-4, atol=1e-5)


CLASSES = [f"class {number}" for number in range(8)]


class TestConformance(Conformance):
    @pytest.fixture(scope="class", params=[[], CLASSES])
    @classmethod
    def package(cls, request, original):
        return exported_program.pack(original, "mine", "random", request.param)

    @pytest.fixture(scope="class")
    @classmethod
    def samples(cls):
        return IMAGES


class TestHead:
    def test_its_logits_are_the_last_output(self, original):
        core = exported_program.load(exported_program.pack(original, "mine", "random", CLASSES))
        assert core.feature_map == "0:3x3"
        x = torch.from_numpy((PIXELS - np.float32(127.5)) / np.float32(127.5)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            logits = network()(x)[1].numpy()
        found = core.extract("0:1x1", IMAGES, CLASSES)[:, -8:]
        np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)

    def test_it_needs_a_class_for_each_logit(self, original):
        with pytest.raises(CoreError, match="has 7 classes, and '1' is no layer of so many"):
            exported_program.load(exported_program.pack(original, "mine", "random", CLASSES[1:]))


def refused(file, problem):
    with pytest.raises(CoreError, match=problem):
        exported_program.pack(file, "mine", "random")


class TestNetworks:
    def test_operations_outside_the_core_set_are_not_run(self, tmp_path):
        stem = network(lambda: nn.Conv2d(3, 8, 3))
        refused(save(tmp_path, stem, decompose=False), "no deterministic operation of core")

    def test_randomness_is_not_run(self, tmp_path):
        class Random(nn.Module):
            def forward(self, x):
                return (x + torch.rand(x.shape)).mean((2, 3))

        refused(save(tmp_path, network(Random)), "rand.* is no deterministic operation")

    def test_sizes_that_are_not_fixed_are_refused(self, tmp_path):
        stem = network(lambda: nn.Sequential(nn.Conv2d(3, 8, 3)))
        dynamic = ({0: torch.export.Dim("n", min=2, max=64)},)
        refused(save(tmp_path, stem, dynamic_shapes=dynamic), "KeyError")

    def test_rows_that_depend_on_each_other_are_refused(self, tmp_path):
        class Centred(nn.Module):
            def forward(self, x):
                means = x.mean((2, 3))
                return means - means.mean(0)

        refused(save(tmp_path, network(Centred)), "depends on the others of its batch")

    def test_outputs_that_are_no_grid_are_refused(self, tmp_path):
        class Rows(nn.Module):
            def forward(self, x):
                return x.mean(3)

        refused(save(tmp_path, network(Rows)), "no square grid")


def rewrite(file, change):
    """The archive again, some of its files changed."""
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    root = next(iter(contents)).partition("/")[0]
    for name, content in change.items():
        contents[f"{root}/{name}"] = content(contents[f"{root}/{name}"])
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return file


def of_json(change):
    def changed(content):
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return changed


class TestArchives:
    def test_pickles_in_it_are_left_alone(self, saved):
        rewrite(saved, {"data/sample_inputs/model.pt": lambda _: b"cos\nsystem\n(S'false'\ntR."})
        assert exported_program.pack(saved, "mine", "random").weights

    def test_weights_that_are_pickled_are_refused(self, saved):
        def pickle(document):
            next(iter(document["config"].values()))["use_pickle"] = True

        rewrite(saved, {"data/weights/model_weights_config.json": of_json(pickle)})
        refused(saved, "only a pickle can give")

    @pytest.mark.parametrize("key", ["strides", "sizes"])
    def test_strides_that_lead_out_of_a_tensor_are_refused(self, saved, key):
        def stretch(document):
            next(iter(document["config"].values()))["tensor_meta"][key][0]["as_int"] = 2**20

        rewrite(saved, {"data/weights/model_weights_config.json": of_json(stretch)})
        refused(saved, "ValueError")

    @pytest.mark.parametrize(
        "target",
        [
            "torch.ops.aten.from_file.default",
            "torch.ops.aten.save.default",
            "torch.ops.aten.empty.memory_format",
            "torch.ops.aten.no_such_thing.default",
            "torch.ops.prim.device.default",
            "os.system",
            "math.floor",
        ],
    )
    def test_what_is_no_pure_operation_is_not_run(self, saved, target):
        def plant(document):
            document["graph_module"]["graph"]["nodes"][0]["target"] = target

        rewrite(saved, {"models/model.json": of_json(plant)})
        refused(saved, "no deterministic operation|unset")

    def test_text_to_evaluate_is_not_evaluated(self, saved, tmp_path):
        code = f"open({str(tmp_path / 'ran')!r}, 'w')"
        symbol = {"as_sym_int": {"as_expr": {"expr_str": code, "hint": None}}}

        def plant(document):
            node = document["graph_module"]["graph"]["nodes"][0]
            node["inputs"][-1]["arg"] = symbol
            document["guards_code"] = [code]

        rewrite(saved, {"models/model.json": of_json(plant)})
        refused(saved, "has an argument as_sym_int")
        assert not (tmp_path / "ran").exists()

    def test_another_version_is_refused(self, saved):
        def later(document):
            document["schema_version"]["major"] = 9

        rewrite(saved, {"models/model.json": of_json(later)})
        refused(saved, "another version")

    @pytest.mark.parametrize("content", [b"", b"PK", b"no zip"])
    def test_what_is_no_archive_is_refused(self, tmp_path, content):
        (tmp_path / "net.pt2").write_bytes(content)
        refused(tmp_path / "net.pt2", "no program that torch.export saved")
        refused(tmp_path / "none.pt2", "no program that torch.export saved")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"[]", "is no program"),
        (b"{", "is no program"),
        (b"[" * 100_000, "is no program"),
        (
            b'{"input": "x", "shape": [], "weights": {}, "shapes": {}, "outputs": [], "nodes": []}',
            "no batch of images",
        ),
    ],
)
def test_a_package_whose_program_is_none_is_refused(package, text, problem):
    with pytest.raises(CoreError, match=problem):
        exported_program.load(
            Package("mine", package.description, package.weights, {"program.json": text})
        )
