"""Reads what adapters need out of a description, which anybody may have written."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import NoReturn, TypeGuard

from unlearning.cores._feature_map import Layer
from unlearning.errors import CoreError

_LARGEST = 2.0**20

Shape = tuple[int, int]
"""A layer's channels, and its height, which is its width."""


class Described:
    """A part of a package's description; each value is checked when it is asked for."""

    def __init__(self, core: str, values: object, path: str = "") -> None:
        self._core, self._path = core, path
        if not isinstance(values, dict):
            self.refuse("is no object", "write it as core export does")
        self._values: Mapping[str, object] = values

    def part(self, key: str) -> "Described":
        """An object in it."""
        return Described(self._core, self._values.get(key), self._at(key))

    def number(self, key: str) -> float:
        """A positive number."""
        value = self._values.get(key)
        if not _is_number(value):
            self._of(key).refuse("is no number", "give a positive one")
        if not 0 < value <= _LARGEST:
            self._of(key).refuse(f"is {value:g}", "give a positive number")
        return float(value)

    def whole(self, key: str) -> int:
        """A positive whole number."""
        value = self.number(key)
        if value != int(value):
            self._of(key).refuse(f"is {value:g}", "give a whole number")
        return int(value)

    def numbers(self, key: str, count: int) -> list[float]:
        """So many numbers, or one that stands for all of them."""
        values = self._values.get(key)
        each = values if isinstance(values, list) else [values] * count
        numbers = [float(value) for value in each if _is_number(value)]
        if not len(numbers) == len(each) == count:
            self._of(key).refuse("is no number for each", f"give one, or {count}")
        return numbers

    def text(self, key: str) -> str:
        """A text."""
        value = self._values.get(key)
        if not isinstance(value, str):
            self._of(key).refuse("is no text", "give one")
        return value

    def texts(self, key: str) -> dict[str, str]:
        """Texts by name."""
        part = self.part(key)
        return {name: part.text(name) for name in part._values}

    def labels(self, key: str) -> tuple[str, ...]:
        """A list of texts, at least one."""
        values = self._values.get(key)
        if not isinstance(values, list) or not values:
            self._of(key).refuse("is no list of texts", "give one")
        return tuple(Described(self._core, {key: each}, self._path).text(key) for each in values)

    def has(self, key: str) -> bool:
        """Whether it says anything of that."""
        return key in self._values

    def refuse(self, problem: str, fix: str) -> NoReturn:
        """Raises a CoreError about it."""
        raise CoreError(
            self._core, f"its description{self._path and f'.{self._path}'} {problem}", fix
        )

    def _of(self, key: str) -> "Described":
        return Described(self._core, {}, self._at(key))

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key


@dataclass(frozen=True)
class Defaults:
    """What a model on the core gets where it asks for nothing else, in real units.

    Attributes:
        feature_map: entries ``LAYER:GxG`` joined by ``+``.
        maps: other feature maps by the names that stand for them.
        feature_bound, ridge: of FEATURES models.
    """

    feature_map: str
    maps: Mapping[str, str]
    feature_bound: float
    ridge: float


def defaults(description: Described) -> Defaults:
    """The description's ``defaults``; raises CoreError."""
    said = description.part("defaults")
    return Defaults(
        said.text("feature_map"),
        said.texts("maps"),
        said.number("feature_bound"),
        said.number("ridge"),
    )


def layers(description: Described, shapes: Mapping[str, Shape]) -> dict[str, Layer]:
    """The network's layers in its own order, with the scales that the description gives.

    Raises:
        CoreError: if the description and the network differ in layers or in their shapes.
    """
    found = {}
    for name, (channels, size) in shapes.items():
        layer = description.part("layers").part(name)
        described = tuple(layer.whole(key) for key in ("channels", "height", "width"))
        if described != (channels, size, size):
            layer.refuse(
                f"says {described}, and the network has {(channels, size, size)}",
                "describe channels, height and width as they are",
            )
        found[name] = Layer(channels, size, layer.number("scale"))
    return found


@dataclass(frozen=True)
class Head:
    """A network's own classifier.

    Attributes:
        layer: the one that is its logits, a channel for each class.
        classes: what its outputs are called.
    """

    layer: str
    classes: tuple[str, ...]


def head_of(description: Described, layers: Mapping[str, Layer]) -> Head | None:
    """The description's ``head``, None without one; raises CoreError if no layer is as it says."""
    if not description.has("head"):
        return None
    said = description.part("head")
    found = Head(said.text("layer"), said.labels("classes"))
    logits = layers.get(found.layer)
    if logits is None or (logits.channels, logits.size) != (len(found.classes), 1):
        said.refuse(
            f"has {len(found.classes)} classes, and {found.layer!r} is no layer of so many logits",
            "name the layer that the head puts out, and a class for each of its channels",
        )
    return found


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
