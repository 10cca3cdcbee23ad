"""The encodings that evidence is written in, read strictly: one text for one value.

Everything read here comes from strangers. Whatever is not exactly as it should be is
refused with ``VerificationError``; nothing else is ever raised.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from math import isfinite
from typing import Any, NoReturn

from unlearn_client.errors import VerificationError

MAX_INTEGER = 2**63 - 1
"""Sizes and indices are int64 on the wire."""

MAX_DEPTH = 32
"""How deep a JSON document may be nested; a certificate needs eight."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def base64(text: str, what: str, length: int | None = None) -> bytes:
    """The bytes of canonical standard base64 (RFC 4648, sections 3.5 and 4).

    Args:
        text: the encoding; padded, nothing around it.
        what: how an error calls it.
        length: of the result, in bytes, if it must be a certain one.

    Raises:
        VerificationError: it is none, or another length.
    """
    try:
        value = b64decode(text, validate=True)
    except ValueError:
        raise VerificationError(f"{what} is not base64") from None
    if b64encode(value).decode() != text:
        raise VerificationError(f"{what} is not canonical base64")
    if length is not None and len(value) != length:
        raise VerificationError(f"{what} is {len(value)} bytes long instead of {length}")
    return value


def decimal(text: str, what: str) -> int:
    """A number from 0 to 2^63 - 1, in ASCII digits without leading zeroes.

    Raises:
        VerificationError: it is something else.
    """
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_INTEGER:
        raise VerificationError(f"{what} is not a decimal number below 2^63")
    return int(text)


def utf8(data: bytes, what: str, limit: int) -> str:
    """A text of at most ``limit`` bytes.

    Raises:
        VerificationError: it is longer, or not UTF-8.
    """
    if len(data) > limit:
        raise VerificationError(f"{what} is larger than {limit} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise VerificationError(f"{what} is not UTF-8 text") from None


def json_object(data: bytes, what: str, limit: int) -> dict[str, Any]:
    """A JSON object without duplicate keys, without NaN or infinities, nested sensibly.

    Its strings hold printable characters only: they are shown to people, whose
    terminals must not take them for commands.

    Raises:
        VerificationError: it is something else.
    """
    text = utf8(data, what, limit)
    try:
        document = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_float=_finite,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError) as error:
        reason = f": {error}" if isinstance(error, _RefusedJSONError) else ""
        raise VerificationError(f"{what} is not proper JSON{reason}") from None
    if not isinstance(document, dict):
        raise VerificationError(f"{what} is not a JSON object")
    _check(document, what)
    return document


class _RefusedJSONError(ValueError):
    """JSON to the parser, not to us."""


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _RefusedJSONError("a key stands there twice")
    return members


def _finite(text: str) -> float:
    if not isfinite(value := float(text)):
        raise _RefusedJSONError("a number is out of range")
    return value


def _no_constant(name: str) -> NoReturn:
    raise _RefusedJSONError(f"{name} is no number")


def _check(document: dict[str, Any], what: str) -> None:
    """Walks level by level, so that no nesting can exhaust the stack."""
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += [*value.keys(), *value.values()]
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, str) and not _is_text(value):
                raise VerificationError(f"{what} holds a character that cannot be shown")
        level = inner
    if level:
        raise VerificationError(f"{what} is nested more than {MAX_DEPTH} deep")


def _is_text(value: str) -> bool:
    # A PEM block or a checkpoint inside JSON has line breaks; readers of claims
    # refuse those themselves.
    return value.replace("\n", "").isprintable()
