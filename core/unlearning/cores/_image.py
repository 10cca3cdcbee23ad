"""Encoded images to pixels: PNG or JPEG in any of Pillow's modes, from anybody.

16-bit gray keeps its high byte, transparency is laid over white, and neither EXIF
orientation nor color profiles are applied.
"""

import io
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unlearning.cores._described import Described
from unlearning.cores.core import Input, Samples
from unlearning.errors import InvalidInputError

SIZES = (1, 1024)

_OPENING = threading.Lock()


@dataclass(frozen=True)
class ImageReader:
    """Batches of images of one shape, the last one filled up with zeros.

    Attributes:
        size: height and width, in pixels, at which the network sees an image.
        mean, divisor: normalise a pixel's colors (3), from 0 to 255, in float32.
        batch: images in every batch.
    """

    size: int
    mean: NDArray[np.float32]
    divisor: NDArray[np.float32]
    batch: int
    input: Input = "image"

    @classmethod
    def of(cls, description: Described, batch: int) -> "ImageReader":
        """As the description's ``preprocessing`` has it; raises CoreError."""
        said = description.part("preprocessing")
        size, other = said.numbers("resize", 2)
        if size != other or size not in range(*SIZES):
            said.refuse("resizes to no square", f"resize to one of less than {SIZES[1]} pixels")
        mean, divisor = (np.array(said.numbers(key, 3), np.float32) for key in ("mean", "divisor"))
        if not (divisor > 0).all():
            said.refuse("divides by what is not positive", "divide by positive numbers")
        return cls(int(size), mean, divisor, batch)

    def batches(self, samples: Samples) -> Iterator[tuple[NDArray[np.intp], NDArray[np.generic]]]:
        """Which rows, and their normalised images, float32 (batch, 3, size, size).

        They are channels last in memory. Raises InvalidInputError, with the row, for what is
        no image.
        """
        for start in range(0, len(samples), self.batch):
            rows = np.arange(start, min(start + self.batch, len(samples)))
            pixels = [decode(self._encoded(samples, row), self.size, row) for row in rows.tolist()]
            images = np.zeros((self.batch, self.size, self.size, 3), np.float32)
            filled = images[: len(pixels)]
            np.subtract(pixels, self.mean, out=filled)
            np.divide(filled, self.divisor, out=filled)
            yield rows, images.transpose(0, 3, 1, 2)

    def largest(self) -> NDArray[np.generic]:
        """A batch as large as any: black images."""
        return np.zeros((self.batch, 3, self.size, self.size), np.float32)

    @staticmethod
    def _encoded(samples: Samples, row: int) -> bytes:
        sample = samples[row]
        if not isinstance(sample, bytes):
            raise InvalidInputError("image", "is no encoded image", "send encoded images", row)
        return sample


def decode(encoded: bytes, size: int, row: int) -> NDArray[np.uint8]:
    """RGB pixels, shape (size, size, 3), uint8; raises InvalidInputError for the row."""
    try:
        with _open(encoded) as image:
            return np.asarray(_to_rgb(image, size))
    except MemoryError:  # no fault of the image's
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        problem = f"the image has more than {Image.MAX_IMAGE_PIXELS} pixels"
        raise InvalidInputError("image", problem, "send a smaller one", row) from None
    # A decoder meets any bytes at all, and what it raises is its own affair. Its words
    # may quote the image, so they go no further.
    except Exception:
        problem = "the bytes are not one whole PNG or JPEG image"
        raise InvalidInputError("image", problem, "send a PNG or JPEG file", row) from None


def _open(encoded: bytes) -> Image.Image:
    """Reads an image's header, and says nothing of oddities in its metadata."""
    # The filters are the whole process's, and the lock keeps two threads from restoring
    # each other's. Pixels, which take the time, are read outside.
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(encoded), formats=("PNG", "JPEG"))


def _to_rgb(image: Image.Image, size: int) -> Image.Image:
    """The image in RGB, resized to size x size pixels."""
    if image.mode.startswith("I"):
        # Pillow's own conversion saturates at 255 instead of scaling.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    # Alpha is kept until the image is small: Pillow weighs colors by it when it resizes.
    colors = image.convert("RGBA" if image.has_transparency_data else "RGB")
    resized = colors.resize((size, size), Image.Resampling.BILINEAR)
    if resized.mode == "RGBA":
        resized = Image.alpha_composite(Image.new("RGBA", resized.size, "white"), resized)
    return resized.convert("RGB")
