"""Configurations and images that cannot be, and cores that come of those that can."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from unlearn_server.cli import main
from unlearning.cores import Library, folder
from unlearning.errors import InvalidInputError
from unlearning.pretraining import building, images
from unlearning.pretraining.configuration import (
    CidsWanted,
    ConsolidationWanted,
    Training,
    read,
)

CIDS = """
package = "made"
trained_on = "stripes"
images = "images"
size = 16
[training]
steps = 4
batch = 6
checkpoint_every = 2
"""

BOTH = f"""
{CIDS}
[[teachers]]
core = "efficientnet-lite0"
feature_map = "0:1x1"
[[teachers]]
core = "special"
"""


@pytest.fixture
def here(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("across", "down"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(4):
            stripes = np.zeros((16, 16, 3), np.uint8)
            stripes[:: rng.integers(2, 6)] = rng.integers(60, 255, 3)
            image = Image.fromarray(stripes if name == "across" else stripes.swapaxes(0, 1))
            image.save(tmp_path / "images" / name / f"{i}.png")
    return tmp_path


def write(here, text):
    (here / "config.toml").write_text(text)
    return here / "config.toml"


def build(here, kind, text):
    words = ["core", "build", kind, "--config", str(write(here, text))]
    if kind == "consolidate":
        words += ["--data-dir", str(here / "data")]
    return CliRunner().invoke(main, words)


def problems(here, kind, text):
    result = build(here, kind, text)
    assert result.exit_code == 2, result.output
    assert not (here / "made").exists()
    assert not (here / "made.training").exists()
    return result.stderr


def test_a_core_comes_of_each_and_is_loaded(here):
    result = build(here, "cids", CIDS)
    assert result.exit_code == 0, result.output
    made = folder.read(here / "made", "made").open()
    assert made.digest in result.output
    assert made.description["provenance"]["weights"] == "stripes; by CIDS"
    assert len((here / "made.training" / "metrics.jsonl").read_text().splitlines()) == 4
    added = CliRunner().invoke(
        main, ["core", "add", str(here / "made"), "--name", "special", "--data-dir", f"{here}/data"]
    )
    assert added.exit_code == 0, added.output
    result = build(here, "consolidate", BOTH.replace('"made"', '"both"'))
    assert result.exit_code == 0, result.output
    student = folder.read(here / "both", "both").open()
    assert made.digest in student.description["provenance"]["weights"]
    Library(here / "cores").add(student)
    core = Library(here / "cores").load("both")
    psi = core.extract("", [(here / "images/across/0.png").read_bytes()])
    assert psi.shape == (1, core.width(""))
    assert np.isfinite(psi).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("size = 16", "size = 16\nsizes = 3"), "sizes: is no key; use one of package"),
        (("steps = 4", "steps = 4\nmomentum = 3"), "training.momentum: is no key"),
        (("size = 16", ""), "size: is missing"),
        (("[training]", "[train]"), "train: is no key"),
        (("size = 16", "size = 16.0"), "size: is no whole number"),
        (("size = 16", "size = true"), "size: is no whole number"),
        (("size = 16", "size = 8"), "size: is no size; give 16 to 512 pixels"),
        (("size = 16", 'size = 16\nlabels = "yes"'), "labels: is no true or false"),
        (("size = 16", 'size = 16\nencoder = "large"'), "encoder: there is no 'large'"),
        (("steps = 4", "steps = 0"), "training.steps: is below 1"),
        (("steps = 4", "steps = 4\nrate = 0"), "training.rate: is no rate"),
        (("steps = 4", f"steps = 4\nseed = {2**63}"), "training.seed: is no seed"),
        (("size = 16", "size = 16\ncontrast = 3"), "contrast: is no table"),
        (("[training]", "[contrast]\nmomentum = 1\n[training]"), "contrast.momentum: is not from"),
        (("[training]", "[contrast]\ntemperature = 0\n[training]"), "contrast.temperature: is not"),
        (("[training]", "[contrast]\nqueue = 0\n[training]"), "contrast.queue: is below 1"),
        (("[training]", "[contrast]\npositives = 0\n[training]"), "contrast.positives: is below"),
        (
            ("[training]", "[augmentation]\nsmallest_crop = 0\n[training]"),
            "augmentation.smallest_crop: is no part",
        ),
        (("stripes", " "), "trained_on: says nothing"),
        (('"images"', '"nowhere"'), "images: "),
        (('package = "made"', 'package = "images"'), "package: "),
        (('package = "made"', "package = made"), "is no TOML"),
    ],
)
def test_what_is_wrong_in_a_configuration_is_named_before_any_work(here, change, told):
    assert told in problems(here, "cids", CIDS.replace(*change))


def test_the_keys_of_one_kind_are_not_those_of_the_other(here):
    assert "teachers: is no key" in problems(here, "cids", BOTH)
    assert "teachers: is missing" in problems(here, "consolidate", CIDS)
    assert "teachers: there are none" in problems(here, "consolidate", f"teachers = []\n{CIDS}")


def test_an_empty_folder_is_told(here):
    for file in (here / "images").rglob("*.png"):
        file.unlink()
    assert "there is no PNG or JPEG file below" in problems(here, "consolidate", ONE_TEACHER)


ONE_TEACHER = f'{CIDS}\n[[teachers]]\ncore = "efficientnet-lite0"\n'


@pytest.mark.parametrize(
    ("core", "told"),
    [
        ("features:3", "core features:3: it takes features"),
        ("nobody", "no core is called 'nobody'"),
        ('efficientnet-lite0"\nfeature_map="99:1x1', "there is no layer '99'"),
    ],
)
def test_a_teacher_that_cannot_teach_is_told(here, core, told):
    text = f'{CIDS}\n[[teachers]]\ncore = "{core}"\n'
    assert told in problems(here, "consolidate", text)


def test_a_class_of_one_image_is_named(here):
    for i in range(3):
        (here / "images" / "down" / f"{i}.png").unlink()
    assert "the class 'down' has a single image" in problems(here, "cids", CIDS)
    unlabelled = CIDS.replace("size", "labels = false\nsize")
    assert build(here, "cids", unlabelled).exit_code == 0


def test_an_image_of_no_class_is_named(here):
    (here / "images" / "down" / "0.png").rename(here / "images" / "stray.png")
    assert "stray.png is in no class" in problems(here, "cids", CIDS)


def test_a_file_that_cannot_be_read_is_named(here):
    (here / "images" / "down" / "folder.png").mkdir()
    (here / "images" / "down" / "broken.png").symlink_to(here / "nothing")
    assert len(images.labelled(here / "images").files) == 8
    with pytest.raises(InvalidInputError, match=r"nowhere\.png cannot be read"):
        images._contents([here / "nowhere.png"])


def test_a_broken_image_is_named(here):
    (here / "images" / "down" / "2.png").write_bytes(b"\x89PNG and nothing else")
    told = problems(here, "cids", CIDS)
    assert told.startswith("unlearn-server: images: ")
    assert str(Path("down") / "2.png") in told


def test_a_run_that_was_stopped_gives_the_package_of_one_that_was_not(here):
    class StoppedError(Exception):
        pass

    def stop(done, _):
        if done == 3:
            raise StoppedError

    config = write(here, CIDS)
    with pytest.raises(StoppedError):
        building.cids(read(CidsWanted, config), stop)
    gone_on = building.cids(read(CidsWanted, config), lambda *_: None)
    whole = building.cids(
        read(CidsWanted, write(here, CIDS.replace("made", "whole"))), lambda *_: None
    )
    assert gone_on.digest == whole.digest


def test_other_images_or_settings_begin_no_run_that_is_there(here):
    assert build(here, "cids", CIDS).exit_code == 0
    config = CIDS.replace("batch = 6", "batch = 5")
    (here / "made").rename(here / "kept")
    assert "has a run whose training was another" in build(here, "cids", config).stderr
    (here / "images" / "down" / "0.png").unlink()
    assert "has a run whose image files was another" in build(here, "cids", CIDS).stderr


def test_a_path_begins_at_the_file(here):
    wanted = read(ConsolidationWanted, write(here, ONE_TEACHER))
    assert wanted.package == here / "made"
    assert wanted.training == Training(steps=4, batch=6, checkpoint_every=2)


def test_a_file_that_is_not_there_is_told(here):
    with pytest.raises(InvalidInputError, match="is no TOML"):
        read(CidsWanted, here / "none.toml")


def test_the_files_of_the_documentation_are_read(here):
    page = Path(__file__).parents[3] / "docs" / "pretraining.md"
    first, second = re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)
    (here / "images").rename(here / "catalogue")
    wanted = read(CidsWanted, write(here, first))
    assert (wanted.package, wanted.size, wanted.training.steps) == (here / "clothes", 32, 3000)
    both = CIDS.replace('"images"', '"catalogue"') + second
    teachers = read(ConsolidationWanted, write(here, both)).teachers
    assert [teacher.core for teacher in teachers] == ["efficientnet-lite0", "clothes"]
    built = build(here, "cids", first.replace("steps = 3000", "steps = 1"))
    assert built.exit_code == 0, built.output
