"""An export: the rows that one release was made of, in a file that NumPy reads (.npz).

It is a ZIP of these, not compressed:

    export.json   JSON: format, "unlearn-export-v1"; model, "models/m"; release, its number;
                  salt, that of its commitments, in hex; objective, in its JSON form
    psi.npy       little-endian int16, shape (n, d): rows on the lattice; where the objective has
                  a head, shape (n, d + C): behind psi the head's logits, in multiples of 2^-9
    labels.npy    little-endian int32, shape (n,): the indices of their classes
    is_core.npy   bool, shape (n,): whether each is CORE

Rows are in the order of their ``commitment.row_digest``, so that it tells nothing of when they
came or whose they are. There are no ids: it is pseudonymous, and as personal as the rows are.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, Self
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from unlearning.commitment import SALT_BYTES
from unlearning.errors import InvalidInputError
from unlearning.objective import Objective

FORMAT = "unlearn-export-v1"

_ROWS_AT_ONCE = 2048
_MALFORMED = (
    ArithmeticError,
    AttributeError,
    BadZipFile,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What reading a file that was made otherwise may raise."""

_PSI, _LABELS, _IS_CORE = np.dtype("<i2"), np.dtype("<i4"), np.dtype("?")


@dataclass(frozen=True)
class Source:
    """Which release the rows are of.

    Attributes:
        model: its name, ``models/m``.
        release: its number.
        salt: of the release's commitments, 32 bytes.
        objective: what the release minimises.
    """

    model: str
    release: int
    salt: bytes
    objective: Objective

    @property
    def name(self) -> str:
        """Of the release, as certificates have it."""
        return f"{self.model}/releases/{self.release}"

    def to_json(self) -> dict[str, Any]:
        """What stands in ``export.json``."""
        return {
            "format": FORMAT,
            "model": self.model,
            "release": self.release,
            "salt": self.salt.hex(),
            "objective": self.objective.to_json(),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Inverse of ``to_json``; ValueError, KeyError or TypeError of anything else."""
        salt = bytes.fromhex(told["salt"])
        if told["format"] != FORMAT or len(salt) != SALT_BYTES:
            raise ValueError("an export of another format")
        objective = _checked(Objective.from_json(told["objective"]))
        return cls(str(told["model"]), int(told["release"]), salt, objective)


@dataclass(frozen=True)
class Block:
    """Some rows: entries (k, row_width), labels (k,) and is_core (k,)."""

    entries: NDArray[np.int16]
    labels: NDArray[np.int32]
    is_core: NDArray[np.bool_]


def write(file: IO[bytes], source: Source, rows: int, blocks: Iterable[Block]) -> None:
    """Writes an export of so many rows, which the blocks hold in the order of their digests."""
    labels, is_core = [np.empty(0, _LABELS)], [np.empty(0, _IS_CORE)]
    with ZipFile(file, "w") as archive:
        archive.writestr(ZipInfo("export.json"), json.dumps(source.to_json(), indent=2))
        with archive.open(ZipInfo("psi.npy"), "w", force_zip64=True) as member:
            shape = (rows, source.objective.row_width)
            header = {"descr": _PSI.str, "fortran_order": False, "shape": shape}
            npy.write_array_header_1_0(member, header)
            for block in blocks:
                member.write(block.entries.astype(_PSI).tobytes())
                labels.append(block.labels.astype(_LABELS))
                is_core.append(block.is_core)
        for name, parts in (("labels", labels), ("is_core", is_core)):
            with archive.open(ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                npy.write_array(member, np.concatenate(parts), allow_pickle=False)


class Export:
    """An export that is open.

    Attributes:
        source: which release it is of.
        rows: n.
    """

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive
        if any(member.compress_type != ZIP_STORED for member in archive.infolist()):
            raise ValueError("compressed, so that its size is not known")
        self.source = Source.from_json(json.loads(archive.read("export.json")))
        self._labels = _column(archive, "labels.npy", _LABELS)
        self._is_core = _column(archive, "is_core.npy", _IS_CORE)
        with archive.open("psi.npy") as member:
            self.rows, width = _shape(member, _PSI)
        if not self.rows == len(self._labels) == len(self._is_core):
            raise ValueError("the arrays are not of equal length")
        objective = self.source.objective
        if width != objective.row_width:
            raise ValueError("the rows are not as wide as the objective says")
        if not ((self._labels >= 0) & (self._labels < len(objective.classes))).all():
            raise ValueError("a label is none of the classes")

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator["Export"]:
        """Opens a file; raises InvalidInputError if it is no export, or is damaged."""
        with ExitStack() as stack:
            with _refusing():
                export = cls(stack.enter_context(ZipFile(path)))
            yield export

    def blocks(self) -> Iterator[Block]:
        """All rows, a bounded number at a time; raises as ``open`` does."""
        with self._archive.open("psi.npy") as member:
            _, width = _shape(member, _PSI)
            for start in range(0, self.rows, _ROWS_AT_ONCE):
                part = slice(start, start + _ROWS_AT_ONCE)
                labels, is_core = self._labels[part], self._is_core[part]
                with _refusing():
                    entries = _entries(member, _PSI, (len(labels), width))
                yield Block(entries, labels, is_core)


@contextmanager
def _refusing() -> Iterator[None]:
    """Says of what can go wrong in reading a file what it means."""
    try:
        yield
    except OSError as error:
        raise InvalidInputError("EXPORT", f"cannot be read: {error}", "name a file") from error
    except _MALFORMED as error:
        problem, fix = "is no export, or damaged", "make it again with unlearn-server export"
        raise InvalidInputError("EXPORT", problem, fix) from error


def _checked(told: Objective) -> Objective:
    """An objective of values that a model can have: made anew in real units, it is the same."""
    ridge = told.ridge // 2 * told.features.step**2
    units = {"ridge": ridge, "label_scale": told.label_scale_in_real_units}
    made = Objective.create(**{**vars(told), **units})
    if made != told:
        raise ValueError("no model has such an objective")
    return made


def _column(archive: ZipFile, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    with archive.open(name) as member:
        [rows] = _shape(member, dtype)
        return _entries(member, dtype, (rows,))


def _shape(member: IO[bytes], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Reads the header of an array, which must be in C order and of this type."""
    if npy.read_magic(member) != (1, 0):
        raise ValueError("another version of NumPy's format")
    shape, in_fortran_order, found = npy.read_array_header_1_0(member)
    if in_fortran_order or found != dtype:
        raise ValueError("an array of another type")
    return tuple(shape)


def _entries(member: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Reads the next entries of an array; the archive checks their sum once all are read."""
    return np.frombuffer(member.read(prod(shape) * dtype.itemsize), dtype).reshape(shape)
