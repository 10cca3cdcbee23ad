"""A network as a list of operations, of which each is a pure function of ATen.

What ``torch.export`` saves is run here without torch's own reader, which evaluates text that
stands in the file. Only operations of the core ATen set are run, on sizes that are fixed.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NoReturn, cast

import torch
from torch import Tensor

from unlearning.errors import CoreError

_TARGET = re.compile(r"torch\.ops\.aten\.([a-z0-9_]+)\.([A-Za-z0-9_]+)")

_PLAIN = {
    "as_int": int,
    "as_bool": bool,
    "as_string": str,
    "as_ints": list,
    "as_floats": list,
    "as_bools": list,
}

_DTYPES = {5: torch.int64, 4: torch.int32, 7: torch.float32, 8: torch.float64, 12: torch.bool}
"""Of ``ScalarType`` in torch's export schema."""

_FORMATS = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    4: torch.preserve_format,
}

_UNSET = {"empty", "empty_strided"}
"""Operations of the set whose result is whatever was in memory."""

Values = dict[str, Any]


class Program:
    """Operations in their order, checked when it is made."""

    def __init__(self, text: bytes, core: str) -> None:
        """Reads what ``program.json`` holds; raises CoreError for what is not to be run."""
        self._core = core
        try:
            document = json.loads(text)
            self.input: str = document["input"]
            self.shape: tuple[int, ...] = tuple(document["shape"])
            self.weights: Mapping[str, str] = dict(document["weights"])
            self.shapes: Mapping[str, list[int]] = dict(document["shapes"])
            self._outputs: Sequence[str] = document["outputs"]
            self._steps = [self._step(node) for node in document["nodes"]]
        except (ValueError, TypeError, KeyError, RecursionError, AttributeError) as error:
            raise CoreError(core, "its program.json is no program", "pack it again") from error

    def __call__(self, batch: Tensor, weights: Mapping[str, Tensor]) -> Iterator[Tensor]:
        """The outputs, for an input and tensors by name."""
        values: Values = {name: weights[tensor] for name, tensor in self.weights.items()}
        values[self.input] = batch
        for step in self._steps:
            step(values)
        return (values[name] for name in self._outputs)

    def _step(self, node: Mapping[str, Any]) -> Callable[[Values], None]:
        operation = self._operation(node["target"])
        arguments = [(each["name"], self._argument(each["arg"])) for each in node["inputs"]]
        names = [name for output in node["outputs"] for name in _names(output)]

        def step(values: Values) -> None:
            result = operation(**{name: argument(values) for name, argument in arguments})
            several = isinstance(result, tuple | list)
            values.update(zip(names, result if several else [result], strict=True))

        return step

    def _operation(self, target: str) -> Callable[..., Any]:
        match = _TARGET.fullmatch(target)
        name, overload = match.groups() if match else ("", "")
        operation: Any = getattr(getattr(torch.ops.aten, name, None), overload, None)
        tags = getattr(operation, "tags", ())
        if torch.Tag.core not in tags or torch.Tag.nondeterministic_seeded in tags:
            self._refuse(f"{target} is no deterministic operation of core ATen")
        if operation._schema.is_mutable or name in _UNSET:
            self._refuse(f"{target} changes an input, or leaves its result unset")
        return cast("Callable[..., Any]", operation)

    def _argument(self, argument: Mapping[str, Any]) -> Callable[[Values], Any]:
        ((kind, value),) = argument.items()
        match kind:
            case "as_none":
                return _constantly(None)
            case "as_tensor":
                return itemgetter(value["name"])
            case "as_float":  # infinities are texts
                return _constantly(float(value))
            case "as_tensors":
                return lambda values: [values[each["name"]] for each in value]
            case "as_scalar_type" if value in _DTYPES:
                return _constantly(_DTYPES[value])
            case "as_memory_format" if value in _FORMATS:
                return _constantly(_FORMATS[value])
            case "as_layout":
                return _constantly(torch.strided)
            case "as_device":
                return _constantly(torch.device("cpu"))
            case _ if kind in _PLAIN and isinstance(value, _PLAIN[kind]):
                return _constantly(value)
        self._refuse(f"it has an argument {kind}")

    def _refuse(self, problem: str) -> NoReturn:
        fix = "export it for inputs of fixed size, and call run_decompositions() on the program"
        raise CoreError(self._core, problem, fix)


def _constantly(value: Any) -> Callable[[Values], Any]:
    return lambda _: value


def _names(output: Mapping[str, Any]) -> list[str]:
    if "as_tensors" in output:
        return [each["name"] for each in output["as_tensors"]]
    return [output["as_tensor"]["name"]]
