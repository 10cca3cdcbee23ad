"""Request fields that several methods have: names, ids, pages."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from unlearn_server.errors import Reason, ServiceError

_MODEL_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_GROUND = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_REASON, LONGEST_GROUND = 500, 64
_DEFAULT_PAGE, _LARGEST_PAGE = 50, 1000


def invalid(field: str, problem: str, fix: str) -> ServiceError:
    """An INVALID_FIELD error."""
    return ServiceError(Reason.INVALID_FIELD, f"{field}: {problem}; {fix}", field=field)


def new_model_id(model_id: str) -> str:
    """Checks the id that a caller chose for a model."""
    if not _MODEL_ID.fullmatch(model_id):
        raise invalid(
            "model_id",
            "is not a model id",
            "use at most 63 lower-case letters, digits and hyphens, a letter first, no hyphen last",
        )
    return model_id


def model_id(name: str, field: str) -> str:
    """The id in ``models/{model_id}``."""
    prefix, _, own = name.partition("/")
    if prefix != "models" or not _MODEL_ID.fullmatch(own):
        raise invalid(field, "is not a model's name", "use models/{model_id}")
    return own


def release_name(name: str) -> tuple[str, int | None]:
    """Model id and number in ``models/{model_id}/releases/{number}``; None for ``-``."""
    model, _, number = name.partition("/releases/")
    if number != "-" and not re.fullmatch(r"[1-9][0-9]{0,17}", number):
        raise invalid(
            "name", "is not a release's name", "use models/{model_id}/releases/{number}, or -"
        )
    return model_id(model, "name"), None if number == "-" else int(number)


def request_id(value: str) -> str:
    """Checks that a request id is a UUID4; answers its canonical form."""
    try:
        parsed = UUID(value)
    except ValueError:
        parsed = None
    if parsed is None or parsed.version != 4 or str(parsed) != value.lower():
        message = "request_id: is not a UUID4; make a fresh one for each request, keep it to retry"
        raise ServiceError(Reason.REQUEST_ID_MALFORMED, message, field="request_id")
    return str(parsed)


def erasure_id(name: str, field: str = "name") -> str:
    """The request id in ``erasures/{request_id}``."""
    own = _below("erasures", name)
    if not own:
        raise invalid(field, "is not an erasure's name", "use erasures/{request_id}")
    return own


def hold_id(name: str) -> str:
    """The id in ``holds/{hold_id}``."""
    own = _below("holds", name)
    if not own:
        raise invalid("name", "is not a hold's name", "use holds/{hold_id}")
    return own


def _below(collection: str, name: str) -> str:
    """What stands behind ``collection/`` in a name; empty if nothing does that may be an id."""
    prefix, _, own = name.partition("/")
    return own if prefix == collection and own.isprintable() else ""


def reason(value: str) -> str:
    """Checks the words in which an operator says why."""
    if not value.strip() or len(value) > LONGEST_REASON or not value.isprintable():
        raise invalid(
            "reason",
            "is empty, too long or not one line of text",
            f"say why in at most {LONGEST_REASON} characters, without personal data",
        )
    return value


def ground(value: str) -> str:
    """Checks the short code of a ground to refuse on."""
    if not _GROUND.fullmatch(value) or len(value) > LONGEST_GROUND:
        raise invalid(
            "ground",
            "is not the short code of a ground",
            f'use lower-case letters, digits and single hyphens, such as "gdpr-17-3-b", at most '
            f"{LONGEST_GROUND}",
        )
    return value


def not_negative(value: int, field: str) -> int:
    """Checks a number for which 0 means none or all."""
    if value < 0:
        raise invalid(field, "is negative", "use 0 for the default")
    return value


def certificate_index(name: str) -> int:
    """The index in ``certificates/{log index}``."""
    prefix, _, index = name.partition("/")
    if prefix != "certificates" or not re.fullmatch(r"0|[1-9][0-9]{0,17}", index):
        raise invalid("name", "is not a certificate's name", "use certificates/{log index}")
    return int(index)


def period(start: Timestamp, end: Timestamp) -> tuple[datetime, datetime]:
    """Checks the times of a report: both are there, in order, and it began already."""
    first, last = time(start, "start_time"), time(end, "end_time")
    if first >= last:
        raise invalid("end_time", "is not after start_time", "name a period that has a length")
    if first > datetime.now(UTC):
        raise invalid("start_time", "is in the future", "name a period that has begun")
    return first, last


def media_type(value: str, known: Collection[str]) -> str:
    """Checks that a media type is one of those there are."""
    if value not in known:
        raise invalid("media_type", "is not one there is", f"use {', '.join(sorted(known))}")
    return value


def time(stamp: Timestamp, field: str) -> datetime:
    """A time that must be there."""
    try:
        time = stamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise invalid(field, "is no time", "use a time of the years 1 to 9999") from None
    if not stamp.ListFields():
        raise invalid(field, "is missing", "name a time")
    return time


def salt(value: bytes, field: str) -> bytes:
    """Checks an optional salt of 32 bytes."""
    if len(value) not in {0, 32}:
        raise invalid(field, f"has {len(value)} bytes", "give 32 random bytes, or none")
    return value


@dataclass(frozen=True)
class Page:
    """Where a listing goes on, and how far."""

    after: int
    size: int
    scope: str

    @classmethod
    def of(cls, page_size: int, page_token: str, scope: str) -> "Page":
        """Reads AIP-158's fields; a token is good for the listing it came from only."""
        if page_size < 0:
            raise invalid("page_size", "is negative", "use 0 for the default")
        size = min(page_size or _DEFAULT_PAGE, _LARGEST_PAGE)
        return cls(_after(page_token, scope), size, scope)

    def next_token(self, keys: list[int]) -> str:
        """The token after a page of rows with these keys; empty after the last page."""
        if len(keys) < self.size:
            return ""
        return urlsafe_b64encode(f"{self.scope}:{keys[-1]}".encode()).decode()


def _after(token: str, scope: str) -> int:
    if not token:
        return 0
    try:
        owner, _, key = urlsafe_b64decode(token.encode()).decode().rpartition(":")
    except (Base64Error, UnicodeError):
        owner, key = "", ""
    if owner != scope or not re.fullmatch(r"[0-9]{1,18}", key):
        message = (
            "page_token: is not one of this listing; use the next_page_token that it answered, "
            "with the same filter"
        )
        raise ServiceError(Reason.PAGE_TOKEN_INVALID, message, field="page_token")
    return int(key)
