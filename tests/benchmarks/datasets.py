"""Real images with their labels and splits, read from where packages put them.

Every benchmark that needs real data takes it from here; ``installed`` says what is missing.
"""

import gzip
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

FASHION = Path("/usr/share/datasets/fashion-mnist")
STAMPS = Path("/usr/share/tuxpaint/stamps")

CLOTHES = (
    *("T-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
TOPICS = (
    *("animals", "clothes", "food", "household", "plants"),
    *("seasonal", "space", "symbols", "town", "vehicles"),
)
"""The folders with more than 15 stamps in PNG."""

DIGITS_TRAIN = 1000
STAMPS_TEST = 0.4
"""Of each topic, rounded down."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images of one kind.

    Attributes:
        name: short.
        words: what they are and how they are split.
        classes: in the order of the labels.
        encoded: a PNG file each.
        labels: shape (n,).
        train, test: indices of the two parts.
    """

    name: str
    words: str
    classes: tuple[str, ...]
    encoded: Sequence[bytes]
    labels: Indices
    train: Indices
    test: Indices


def installed() -> dict[str, Dataset]:
    """Those that this machine has, by name."""
    return {name: load() for name, (load, _) in SOURCES.items() if name not in missing()}


def missing() -> dict[str, str]:
    """How to install each of the others, by name."""
    return {
        name: f"apt-get install --no-install-recommends {folder[1]}"
        for name, (_, folder) in SOURCES.items()
        if folder and not folder[0].is_dir()
    }


def held_out(labels: Indices, part: float, rng: np.random.Generator) -> Indices:
    """Indices of a part of every class."""
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return np.sort(np.concatenate([rng.permutation(c)[: int(part * len(c))] for c in classes]))


def digits() -> Dataset:
    """Scikit-learn's 1,797 handwritten digits, 8 x 8, in their own order."""
    data = load_digits()
    gray = (data.images * 255 / 16).round().astype(np.uint8)
    every = np.arange(len(gray))
    return Dataset(
        "digits",
        "scikit-learn's handwritten digits, 8 x 8: the first 1,000 to train, the other 797 to test",
        tuple("0123456789"),
        [_png(pixels) for pixels in gray],
        data.target.astype(np.int64),
        every[:DIGITS_TRAIN],
        every[DIGITS_TRAIN:],
    )


def fashion() -> Dataset:
    """Fashion-MNIST: 60,000 + 10,000 gray images of clothes, 28 x 28."""
    images, labels = zip(*(_idx_pair(part) for part in ("train", "t10k")), strict=True)
    every = np.arange(sum(map(len, labels)))
    return Dataset(
        "Fashion-MNIST",
        "gray pictures of clothes, 28 x 28: its own 60,000 to train and 10,000 to test",
        CLOTHES,
        [_png(pixels) for part in images for pixels in part],
        np.concatenate(labels).astype(np.int64),
        every[: len(labels[0])],
        every[len(labels[0]) :],
    )


def stamps() -> Dataset:
    """Tux Paint's photographs and drawings in ten topics; mirrored twins are left out."""
    folders = {topic: STAMPS / topic for topic in TOPICS}
    files = {
        topic: sorted(set(folder.rglob("*.png")) - set(folder.rglob("*_mirror.png")))
        for topic, folder in folders.items()
    }
    labels = np.repeat(np.arange(len(TOPICS)), [len(some) for some in files.values()])
    rng = np.random.default_rng(0)
    test = held_out(labels, STAMPS_TEST, rng)
    train = np.setdiff1d(np.arange(len(labels)), test)
    return Dataset(
        "stamps",
        "Tux Paint's photographs and drawings in ten topics, as PNG with transparency: of each "
        f"topic {STAMPS_TEST:.0%}, drawn once, to test",
        TOPICS,
        [path.read_bytes() for some in files.values() for path in some],
        labels,
        rng.permutation(train),
        rng.permutation(test),
    )


SOURCES: Mapping[str, tuple[Callable[[], Dataset], tuple[Path, str] | None]] = {
    "digits": (digits, None),
    "Fashion-MNIST": (fashion, (FASHION, "dataset-fashion-mnist")),
    "stamps": (stamps, (STAMPS, "tuxpaint-stamps-default")),
}
"""How each is loaded, and the folder and Debian package that it comes from."""


def _idx_pair(part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images (n, 28, 28) and labels (n,) of files in LeCun's IDX format."""
    with gzip.open(FASHION / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(FASHION / f"{part}-labels-idx1-ubyte.gz") as file:
        return images, np.frombuffer(file.read(), np.uint8, offset=8)


def _png(gray: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(gray).save(file, "PNG")
    return file.getvalue()
