"""What the statements of several kinds have in common, in words that round nothing down."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from unlearn_client.verification.members import Members

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)


def regulation(members: Members) -> Iterator[tuple[str, str]]:
    """On what the request was based."""
    path = "predicate.regulation"
    yield "Regulation", members.text(path) if members.get(path) else "none named"


def times(members: Members, name: str, done: str) -> Iterator[tuple[str, str]]:
    """When it was received, done and due, and since when it was due so late.

    Args:
        members: of the statement.
        name: of the time it was done, as the predicate has it.
        done: the word for that.
    """
    received, ended, due = (
        read_time(members, f"predicate.{each}Time") for each in ("receive", name, "due")
    )
    yield "Received", minute(received)
    yield done, f"{minute(ended)}, {'on time' if ended <= due else 'LATE'}"
    yield "Due", minute(due)
    if members.has("predicate.extension"):
        extended, first = (
            read_time(members, f"predicate.extension.{each}Time") for each in ("extend", "firstDue")
        )
        told = "" if extended <= first else ", TOO LATE"
        yield "Extended", f"{minute(extended)}{told}; it was due {minute(first)} at first"


def read_time(members: Members, path: str) -> datetime:
    """The time at a path.

    Raises:
        VerificationError: something else stands there, or nothing.
    """
    text = members.text(path)
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        # Microseconds are all that datetime holds; finer ones decide nothing here.
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise members.error(path, "a time such as 2030-01-31T12:00:00Z") from None


def minute(time: datetime) -> str:
    """A time as people read it."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def software(members: Members) -> str:
    """What made the certificate."""
    version = members.text("predicate.software.version")
    return f"{named(members, 'predicate.software')}, version {version}"


def named(members: Members, path: str) -> str:
    """What stands at a path: its name and its digest."""
    return f"{members.text(f'{path}.name')}, SHA-256 {members.digest(f'{path}.digest')}"


def many(count: int, what: str) -> str:
    """A number of things."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def plain(number: float) -> str:
    """Not rounded: a bound that is rounded down is none."""
    return repr(number).removesuffix(".0")


def percent(share: float) -> str:
    """A share of one, not rounded."""
    return f"{plain(float(Decimal(repr(share)) * 100))} %"
