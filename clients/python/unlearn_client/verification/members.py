"""Members of JSON objects, each of the type that it must have."""

import re
from typing import Any

from unlearn_client.errors import VerificationError
from unlearn_client.verification.encoding import MAX_INTEGER


class Members:
    """Members of a JSON object by path, each of the type it must have."""

    def __init__(self, document: dict[str, Any], what: str) -> None:
        self._document = document
        self._what = what

    def get(self, path: str) -> Any:
        """What stands at a dotted path; None where nothing does."""
        value: Any = self._document
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def has(self, path: str) -> bool:
        """Is there something other than null?"""
        return self.get(path) is not None

    def text(self, path: str) -> str:
        """A string of one line.

        Raises:
            VerificationError: something else stands there, or nothing.
        """
        value = self.get(path)
        if not isinstance(value, str) or not value or "\n" in value:
            raise self.error(path, "a text of one line")
        return value

    def lines(self, path: str) -> str:
        """A string; it may have several lines.

        Raises:
            VerificationError: something else stands there, or nothing.
        """
        value = self.get(path)
        if not isinstance(value, str):
            raise self.error(path, "a text")
        return value

    def count(self, path: str) -> int:
        """A whole number from 0 to 2^63 - 1.

        Raises:
            VerificationError: something else stands there, or nothing.
        """
        value = self.get(path)
        if type(value) is not int or not 0 <= value <= MAX_INTEGER:
            raise self.error(path, "a whole number from 0")
        return value

    def number(self, path: str) -> float:
        """A number from 0; "Infinity" is one too.

        Raises:
            VerificationError: something else stands there, or nothing.
        """
        value = self.get(path)
        if value == "Infinity":
            return float("inf")
        if type(value) not in (int, float) or value < 0:
            raise self.error(path, 'a number from 0, or "Infinity"')
        return _as_float(value)

    def digest(self, path: str) -> str:
        """32 bytes in lowercase hexadecimal.

        Raises:
            VerificationError: something else stands there, or nothing.
        """
        value = self.get(path)
        if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
            raise self.error(path, "64 lowercase hexadecimal digits")
        return value

    def texts(self, path: str) -> list[str]:
        """A list of strings of one line.

        Raises:
            VerificationError: something else stands there, or nothing.
        """
        values = self.get(path)
        if not isinstance(values, list) or not all(
            isinstance(value, str) and "\n" not in value for value in values
        ):
            raise self.error(path, "a list of texts of one line")
        return values

    def objects(self, path: str) -> list[dict[str, Any]]:
        """A list of objects.

        Raises:
            VerificationError: something else stands there, or nothing.
        """
        values = self.get(path)
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise self.error(path, "a list of objects")
        return values

    def only(self, *names: str) -> None:
        """Allows these members and no others.

        Raises:
            VerificationError: naming one that does not belong there.
        """
        for name in self._document:
            if name not in names:
                raise VerificationError(f"{self._what} has an unknown member {name[:40]!r}")

    def error(self, path: str, wanted: str) -> VerificationError:
        """What to raise where something else stands at a path."""
        return VerificationError(f"{self._what}: {path} is not {wanted}")


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return float("inf")
