"""Encoded images to pixels: PNG or JPEG in any of Pillow's modes, from anybody.

16-bit gray keeps its high byte, transparency is laid over white, EXIF orientation is
not applied.
"""

import io
import threading
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unlearning.errors import InvalidInputError

_OPENING = threading.Lock()


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
