"""A published log (C2SP tlog-tiles), in a folder or at a URL, and proofs made from it.

Nothing that is read here is believed: a proof made of wrong tiles does not verify.
"""

from collections.abc import Callable
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from time import monotonic
from urllib.error import HTTPError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    UnknownHandler,
)

from unlearn_client.errors import UnavailableError, VerificationError
from unlearn_client.verification.merkle import HASH_BYTES, node_hash, subtree_hash

TILE_HEIGHT = 8
TILE_WIDTH = 2**TILE_HEIGHT

Read = Callable[[str, int], bytes | None]
"""The resource at a path below the log's prefix, of at most so many bytes; None: there is none."""


class Log:
    """A log as it is published."""

    def __init__(self, read: Read) -> None:
        self.read = read
        self._tile = lru_cache(maxsize=1024)(self._read_tile)

    def consistency_proof(self, first: int, second: int) -> list[bytes]:
        """PROOF(first, D[second]) of RFC 6962, section 2.1.2, for 0 <= first <= second.

        Raises:
            VerificationError: a tile that it needs is missing or malformed.
        """
        if first in (0, second):
            return []
        start, end, complete, proof = 0, second, True, []
        while first != end:
            middle = start + _split(end - start)
            if first <= middle:
                proof.append(self._hash(middle, end, second))
                end = middle
            else:
                proof.append(self._hash(start, middle, second))
                start, complete = middle, False
        if not complete:
            proof.append(self._hash(start, end, second))
        return proof[::-1]

    def _hash(self, start: int, end: int, size: int) -> bytes:
        """The hash over the entries from start to end, of a log of this size."""
        width = end - start
        if width & (width - 1) == 0:
            height = width.bit_length() - 1
            return self._node(height, start >> height, size)
        middle = start + _split(width)
        return node_hash(self._hash(start, middle, size), self._hash(middle, end, size))

    def _node(self, height: int, index: int, size: int) -> bytes:
        """A complete node: over the entries from index * 2^height on, 2^height of them."""
        level, inside = divmod(height, TILE_HEIGHT)
        tile, offset = divmod(index << inside, TILE_WIDTH)
        hashes = self._tile(level, tile, min(TILE_WIDTH, (size >> 8 * level) - tile * TILE_WIDTH))
        return subtree_hash(hashes[offset : offset + 2**inside])

    def _read_tile(self, level: int, tile: int, width: int) -> list[bytes]:
        path = f"tile/{level}/{_tile_path(tile)}"
        # A log may drop a partial tile once the full one is there.
        content = self._hashes(f"{path}.p/{width}", width) if width < TILE_WIDTH else None
        content = content or self._hashes(path, TILE_WIDTH)
        if content is None:
            raise VerificationError(f"the log has no {path}, which its size demands")
        return [content[i : i + HASH_BYTES] for i in range(0, width * HASH_BYTES, HASH_BYTES)]

    def _hashes(self, path: str, width: int) -> bytes | None:
        content = self.read(path, width * HASH_BYTES)
        if content is not None and len(content) != width * HASH_BYTES:
            raise VerificationError(f"the log's {path} is not {width} hashes long")
        return content


def open_log(place: str, timeout: float) -> Log:
    """The log at a folder, or at an http or https URL.

    Args:
        place: the folder or URL that holds ``checkpoint`` and ``tile/``.
        timeout: seconds until a download is given up.
    """
    if place.startswith(("http://", "https://")):
        return Log(_Website(place.rstrip("/"), timeout).read)
    return Log(_Folder(Path(place)).read)


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, path: str, limit: int) -> bytes | None:
        try:
            with (self._folder / path).open("rb") as file:
                content = file.read(limit + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(f"the log's {path} cannot be read: {error.strerror}") from None
        return _bounded(content, path, limit)


class _Website:
    def __init__(self, prefix: str, timeout: float) -> None:
        self._prefix = prefix
        self._timeout = timeout
        self._opener = OpenerDirector()
        for handler in (
            ProxyHandler(),
            HTTPHandler(),
            HTTPSHandler(),
            HTTPDefaultErrorHandler(),
            HTTPRedirectHandler(),
            HTTPErrorProcessor(),
            UnknownHandler(),
        ):  # no files, no FTP: a redirection cannot lead out of the web
            self._opener.add_handler(handler)

    def read(self, path: str, limit: int) -> bytes | None:
        try:
            return _bounded(self._download(path, limit), path, limit)
        except HTTPError as error:
            if error.code in (404, 410):
                return None
            raise UnavailableError(f"the log's {path}: HTTP status {error.code}") from None
        except (OSError, HTTPException, ValueError) as error:
            raise UnavailableError(f"the log's {path} cannot be fetched: {error}") from None

    def _download(self, path: str, limit: int) -> bytes:
        gives_up_at = monotonic() + self._timeout
        content = b""
        with self._opener.open(f"{self._prefix}/{path}", timeout=self._timeout) as response:
            while len(content) <= limit and (piece := response.read1(limit + 1)):
                content += piece
                if monotonic() > gives_up_at:  # it trickles
                    raise TimeoutError("it takes too long")
        return content


def _bounded(content: bytes, path: str, limit: int) -> bytes:
    if len(content) > limit:
        raise VerificationError(f"the log's {path} is larger than {limit} bytes")
    return content


def _tile_path(tile: int) -> str:
    """1234067 as x001/x234/067."""
    digits = str(tile)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return "/".join([f"x{part}" for part in parts[:-1]] + parts[-1:])


def _split(width: int) -> int:
    """The largest power of two below a width of at least 2."""
    return 1 << ((width - 1).bit_length() - 1)
