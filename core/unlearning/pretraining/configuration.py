"""What is to be made, as TOML says it; whatever cannot be is told before any work.

A relative path starts where the file is. Numbers have defaults, which the tables here are.
"""

import tomllib
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from unlearning.errors import InvalidInputError
from unlearning.pretraining.augmentation import Augmentation
from unlearning.pretraining.encoders import ENCODERS
from unlearning.pretraining.training import Schedule

SIZES = (16, 512)
"""Of images, in pixels."""

Table = TypeVar("Table")


@dataclass(frozen=True)
class Training(Schedule):
    """The table ``training``."""

    batch: int = 128
    rate: float = 1e-3
    seed: int = 0
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "checkpoint_every"):
            _check(getattr(self, name) >= 1, f"training.{name}", "is below 1", "give at least 1")
        _check(0 <= self.seed < 2**63, "training.seed", "is no seed", "give 0 to 2^63 - 1")
        _check(0 < self.rate <= 1, "training.rate", "is no rate", "give one above 0, such as 0.001")


@dataclass(frozen=True)
class Contrast:
    """The table ``contrast``: P, tau, the weight that the key encoder keeps of itself, and K."""

    positives: int = 1
    temperature: float = 0.1
    momentum: float = 0.99
    queue: int = 2048

    def __post_init__(self) -> None:
        _check(self.positives >= 1, "contrast.positives", "is below 1", "give 1")
        _check(self.temperature > 0, "contrast.temperature", "is not positive", "give 0.1")
        _check(0 <= self.momentum < 1, "contrast.momentum", "is not from 0 below 1", "give 0.99")
        _check(self.queue >= 1, "contrast.queue", "is below 1", "give 2048")


@dataclass(frozen=True)
class Changes(Augmentation):
    """The table ``augmentation``."""

    def __post_init__(self) -> None:
        fix = "give a part above 0, at most 1"
        _check(0 < self.smallest_crop <= 1, "augmentation.smallest_crop", "is no part", fix)
        _check(0 <= self.jitter < 1, "augmentation.jitter", "is not from 0 below 1", "give 0.4")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A core to be made.

    Attributes:
        package: the new folder of the core package, whose name is the core's.
        trained_on: what the images are; it is declared that none of them ever needs forgetting.
        images: their folder.
        encoder: one of ENCODERS.
        size: at which it sees images, in pixels.
    """

    package: Path
    trained_on: str
    images: Path
    encoder: str = "small"
    size: int
    training: Training

    def __post_init__(self) -> None:
        known = " or ".join(ENCODERS)
        _check(self.encoder in ENCODERS, "encoder", f"there is no {self.encoder!r}", f"use {known}")
        low, high = SIZES
        _check(low <= self.size <= high, "size", "is no size", f"give {low} to {high} pixels")
        _check(bool(self.trained_on.strip()), "trained_on", "says nothing", "say what they are")
        _check(not self.package.exists(), "package", f"{self.package} exists", "name a new folder")
        _check(self.images.is_dir(), "images", f"{self.images} is no folder", "name one of images")


@dataclass(frozen=True, kw_only=True)
class CidsWanted(Wanted):
    """By ``cids``; ``labels`` says whether the folders of the images are their classes."""

    labels: bool = True
    contrast: Contrast = field(default_factory=Contrast)
    augmentation: Changes = field(default_factory=Changes)


@dataclass(frozen=True)
class Teacher:
    """One of the tables ``teachers``: an installed core and a map of it, by default its own."""

    core: str
    feature_map: str = ""


@dataclass(frozen=True, kw_only=True)
class ConsolidationWanted(Wanted):
    """By ``consolidation``; the images are the proxy set."""

    teachers: tuple[Teacher, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(bool(self.teachers), "teachers", "there are none", "name at least one")


def read(kind: type[Table], file: Path) -> Table:
    """Reads one of the two kinds of file; raises InvalidInputError for all that is wrong."""
    try:
        values = tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise InvalidInputError("--config", f"{file} is no TOML ({error})", "mend it") from error
    return _table(kind, values, "", file.resolve().parent)


def _table(kind: type[Table], values: Any, path: str, folder: Path) -> Table:
    if not isinstance(values, dict):
        raise InvalidInputError(path.rstrip("."), "is no table", "write keys below a heading")
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type] # a dataclass
    for key in values.keys() - known.keys():
        raise InvalidInputError(path + key, "is no key", f"use one of {', '.join(known)}")
    for key in known.keys() - values.keys():
        if known[key].default is known[key].default_factory is MISSING:
            raise InvalidInputError(path + key, "is missing", f"give a {path + key}")
    types = get_type_hints(kind)
    given = {key: _value(types[key], value, path + key, folder) for key, value in values.items()}
    return kind(**given)


def _value(kind: Any, value: Any, path: str, folder: Path) -> Any:
    if isinstance(kind, type) and is_dataclass(kind):
        return _table(kind, value, f"{path}.", folder)
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_value(get_args(kind)[0], each, path, folder) for each in value)
    if kind is Path and isinstance(value, str):
        return folder / value
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise InvalidInputError(path, f"is no {_words(kind)}", "write it as TOML does")
    return value


def _words(kind: Any) -> str:
    return {int: "whole number", float: "number", bool: "true or false"}.get(kind, "text")


def _check(holds: bool, name: str, problem: str, fix: str) -> None:
    if not holds:
        raise InvalidInputError(name, problem, fix)
