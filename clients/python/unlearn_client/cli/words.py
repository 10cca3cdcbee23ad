"""Numbers as people say them. Every bound is rounded up, so that it stays one."""

from datetime import UTC, datetime
from decimal import ROUND_CEILING, Context, Decimal
from math import isinf

from google.protobuf.timestamp_pb2 import Timestamp

from unlearn.v1.erasure_pb2 import Erasure, Extension, InformationBound, Outcome

COIN_TOSS = 0.5


def bound_words(bound: InformationBound) -> str:
    """What the best adversary still gets out of the release that followed."""
    nats = Context(prec=2, rounding=ROUND_CEILING).create_decimal_from_float(bound.nats)
    accuracy = _percent_up(bound.attack_accuracy)
    if bound.attack_accuracy <= COIN_TOSS:
        attack = f"best attack is a coin toss ({accuracy})"
    else:
        attack = f"best attack is right {accuracy} of the time (a coin toss: 50 %)"
    return f"{'at most ' if nats else ''}{nats:f} nats left; {attack}"


def caveat(outcome: Outcome) -> str:
    """What the bound does not cover, if there is anything to tell."""
    if outcome.erased_samples and isinf(outcome.bound.differencing_gaussian_dp):
        return "Who also kept the release before can tell what was erased since."
    return ""


def time_words(time: Timestamp) -> str:
    """A time as date, minute and UTC; a dash where none is set."""
    if not time.seconds:
        return "-"
    return f"{time.ToDatetime():%Y-%m-%d %H:%M} UTC"


def state_words(erasure: Erasure) -> str:
    """The state of an erasure and, where there is one, its reason."""
    name = Erasure.State.Name(erasure.state)
    return f"{name} ({erasure.state_reason})" if erasure.state_reason else name


def due_words(erasure: Erasure) -> str:
    """When an erasure is due, and whether that has passed or was not kept."""
    due = erasure.due_time.ToDatetime()
    ended = erasure.HasField("complete_time")
    until = erasure.complete_time.ToDatetime() if ended else datetime.now(UTC).replace(tzinfo=None)
    late = "" if until <= due else ", LATE" if ended else ", OVERDUE"
    return time_words(erasure.due_time) + late


def extension_words(extension: Extension) -> str:
    """When and why a due time was moved, and from where."""
    when, first = time_words(extension.extend_time), time_words(extension.first_due_time)
    return f"{when}, from {first} ({extension.reason})"


def _percent_up(share: float) -> str:
    percent = (Decimal(repr(share)) * 100).quantize(Decimal("0.1"), rounding=ROUND_CEILING)
    return f"{percent} %"
