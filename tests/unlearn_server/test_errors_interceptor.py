"""A server in this process, with handlers of all four kinds that do as their requests say."""

import errno
import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import TypeVar
from uuid import UUID

import grpc
import psycopg
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from unlearn.v1 import model_pb2, model_pb2_grpc
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.interceptor import RequestInterceptor
from unlearn_server.metrics import LedgerSnapshot, Metrics
from unlearn_server.overload import Workers
from unlearning.errors import CapacityError, InvalidInputError

PERSON = "ada@example.org"
KINDS = ["unary_unary", "unary_stream", "stream_unary", "stream_stream"]


def _abort(context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.DATA_LOSS, "on purpose")


def _raise(error: Exception) -> None:
    raise error


THREADS, WAITING = 4, 3
_held = Event()

ACTIONS: dict[bytes, Callable[[grpc.ServicerContext], None]] = {
    b"fine": lambda _: None,
    b"abort": _abort,
    b"missing": lambda _: _raise(ServiceError(Reason.MODEL_NOT_FOUND, "name: no such model")),
    b"busy": lambda _: _raise(
        ServiceError(Reason.TOO_MANY_WATCHERS, "too many", retry_after_seconds=1.5, limit=9)
    ),
    b"invalid": lambda _: _raise(InvalidInputError("features", "not finite", "send numbers", 3)),
    b"capacity": lambda _: _raise(CapacityError(5, "2^20 rows")),
    b"disk": lambda _: _raise(OSError(errno.ENOSPC, PERSON)),
    b"database": lambda _: _raise(
        OperationalError(PERSON, None, Exception("database or disk is full"))
    ),
    b"postgresql": lambda _: _raise(OperationalError(PERSON, None, psycopg.errors.DiskFull())),
    b"locked": lambda _: _raise(OperationalError(PERSON, None, Exception("database is locked"))),
    b"bug": lambda _: _raise(KeyError(PERSON)),
    b"bare": lambda _: _raise(Exception()),
    b"unwritten": lambda _: _raise(NotImplementedError()),
    b"set_code": lambda context: context.set_code(grpc.StatusCode.OUT_OF_RANGE),
    b"slow": lambda _: time.sleep(0.2),
    b"held": lambda _: _held.wait(),
}


def _answer_one(request: bytes | Iterator[bytes], context: grpc.ServicerContext) -> bytes:
    for word in [request] if isinstance(request, bytes) else request:
        ACTIONS[word](context)
    return b"ok"


def _answer_many(
    request: bytes | Iterator[bytes], context: grpc.ServicerContext
) -> Iterator[bytes]:
    yield b"first"
    for word in [request] if isinstance(request, bytes) else request:
        ACTIONS[word](context)
        yield b"ok"


class Rig:
    """A server with the interceptor, and a channel to it."""

    def __init__(self) -> None:
        self.metrics = Metrics(lambda: LedgerSnapshot({}, None, {}, {}))
        self.workers = Workers(THREADS, WAITING)
        self.server = grpc.server(
            self.workers, interceptors=[RequestInterceptor(self.metrics, self.workers)]
        )
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            kind: getattr(grpc, f"{kind}_rpc_method_handler")(
                _answer_many if kind.endswith("stream") else _answer_one
            )
            for kind in KINDS
        }
        self.server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("rig", handlers)]
        )
        model_pb2_grpc.add_ModelServiceServicer_to_server(
            model_pb2_grpc.ModelServiceServicer(), self.server
        )
        port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def call(self, kind: str, word: bytes, **options: object) -> list[bytes]:
        stub = getattr(self.channel, kind)(f"/rig/{kind}")
        request = iter([b"fine", word]) if kind.startswith("stream") else word
        answer = stub(request, timeout=10, **options)
        return list(answer) if kind.endswith("stream") else [answer]

    def fail(self, kind: str, word: bytes) -> grpc.Call:
        with pytest.raises(grpc.RpcError) as caught:
            self.call(kind, word)
        assert isinstance(caught.value, grpc.Call)
        return caught.value

    def count(self, method: str, code: str) -> float:
        """Waits a little: a call is counted after its caller has the answer."""
        labels = {"method": method, "code": code}
        for _ in range(100):
            count = self.metrics.registry.get_sample_value("unlearn_requests_total", labels)
            if count:
                return count
            time.sleep(0.02)
        return 0.0


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.channel.close()
    rig.server.stop(None).wait()


Detail = TypeVar("Detail", ErrorInfo, BadRequest, RetryInfo)


def details(call: grpc.Call, kind: type[Detail]) -> list[Detail]:
    status = rpc_status.from_call(call)
    found = []
    for packed in status.details:
        detail = kind()
        if packed.Unpack(detail):
            found.append(detail)
    return found


def reason(call: grpc.Call) -> str:
    (info,) = details(call, ErrorInfo)
    assert info.domain == "unlearn.v1"
    return info.reason


@pytest.mark.parametrize("kind", KINDS)
def test_lets_answers_through(rig: Rig, kind: str) -> None:
    assert rig.call(kind, b"fine")[-1] == b"ok"
    assert rig.count(f"/rig/{kind}", "OK") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_translates_errors_of_every_kind_of_handler(rig: Rig, kind: str) -> None:
    call = rig.fail(kind, b"missing")
    assert call.code() is grpc.StatusCode.NOT_FOUND
    assert call.details() == "name: no such model"
    assert reason(call) == "MODEL_NOT_FOUND"
    assert rig.count(f"/rig/{kind}", "NOT_FOUND") == 1


@pytest.mark.parametrize("kind", ["unary_stream", "stream_stream"])
def test_messages_before_an_error_arrive(rig: Rig, kind: str) -> None:
    stub = getattr(rig.channel, kind)(f"/rig/{kind}")
    answers = stub(iter([b"bug"]) if kind == "stream_stream" else b"bug", timeout=10)
    assert next(answers) == b"first"
    with pytest.raises(grpc.RpcError):
        next(answers)
    assert reason(answers) == "INTERNAL"


@pytest.mark.parametrize(
    ("word", "code", "name"),
    [
        (b"invalid", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        (b"capacity", grpc.StatusCode.RESOURCE_EXHAUSTED, "CAPACITY_EXCEEDED"),
        (b"disk", grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL"),
        (b"database", grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL"),
        (b"postgresql", grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL"),
        (b"locked", grpc.StatusCode.INTERNAL, "INTERNAL"),
        (b"unwritten", grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_IMPLEMENTED"),
        (b"bug", grpc.StatusCode.INTERNAL, "INTERNAL"),
        (b"bare", grpc.StatusCode.INTERNAL, "INTERNAL"),
    ],
)
def test_every_error_has_a_reason_and_shows_no_secret(
    rig: Rig, word: bytes, code: grpc.StatusCode, name: str
) -> None:
    call = rig.fail("unary_unary", word)
    assert (call.code(), reason(call)) == (code, name)
    assert PERSON not in (call.details() or "") + str(rpc_status.from_call(call))


def test_a_field_is_named_for_programs_too(rig: Rig) -> None:
    call = rig.fail("unary_unary", b"invalid")
    (bad_request,) = details(call, BadRequest)
    (violation,) = bad_request.field_violations
    assert violation.field == "features"
    assert violation.description == "features: not finite; send numbers"
    assert details(call, ErrorInfo)[0].metadata == {"sample": "3"}


def test_capacity_says_how_many_still_fit(rig: Rig) -> None:
    (info,) = details(rig.fail("unary_unary", b"capacity"), ErrorInfo)
    assert info.metadata == {"fits": "5"}


def test_says_when_to_try_again(rig: Rig) -> None:
    call = rig.fail("unary_unary", b"busy")
    (retry,) = details(call, RetryInfo)
    assert retry.retry_delay.ToTimedelta().total_seconds() == 1.5
    assert details(call, ErrorInfo)[0].metadata == {"limit": "9"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_deliberate_abort_passes_untouched(rig: Rig, kind: str) -> None:
    call = rig.fail(kind, b"abort")
    assert (call.code(), call.details()) == (grpc.StatusCode.DATA_LOSS, "on purpose")
    assert rig.count(f"/rig/{kind}", "DATA_LOSS") == 1


def test_a_code_that_was_set_is_the_one_counted(rig: Rig) -> None:
    rig.fail("unary_unary", b"set_code")
    assert rig.count("/rig/unary_unary", "OUT_OF_RANGE") == 1


def test_generated_servicers_are_unimplemented_with_a_reason(rig: Rig) -> None:
    stub = model_pb2_grpc.ModelServiceStub(rig.channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetModel(model_pb2.GetModelRequest(name="models/m"))
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert reason(caught.value) == "METHOD_NOT_IMPLEMENTED"


@pytest.mark.parametrize("kind", KINDS)
def test_methods_that_do_not_exist_share_one_label(rig: Rig, kind: str) -> None:
    stub = getattr(rig.channel, kind)("/rig/made-up")
    request = iter([b"x"]) if kind.startswith("stream") else b"x"
    with pytest.raises(grpc.RpcError) as caught:
        list(stub(request, timeout=10))
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert reason(caught.value) == "METHOD_NOT_IMPLEMENTED"
    assert rig.count("unknown", "UNIMPLEMENTED") == 1


def request_id_of(call: grpc.Call) -> str:
    return dict(call.trailing_metadata())["x-request-id"]


def test_returns_the_callers_request_id_with_answers_and_errors(rig: Rig) -> None:
    metadata = (("x-request-id", "0123abcd-4567"),)
    _, call = rig.channel.unary_unary("/rig/unary_unary").with_call(b"fine", metadata=metadata)
    assert request_id_of(call) == "0123abcd-4567"
    with pytest.raises(grpc.RpcError) as caught:
        rig.call("unary_unary", b"bug", metadata=metadata)
    assert request_id_of(caught.value) == "0123abcd-4567"
    assert caught.value.details().endswith("under request 0123abcd-4567")


@pytest.mark.parametrize("given", ["", "short", PERSON, "0" * 65, "abcdefgh ijkl"])
def test_gives_an_id_of_its_own_where_the_callers_may_not_be_logged(rig: Rig, given: str) -> None:
    metadata = (("x-request-id", given),)
    _, call = rig.channel.unary_unary("/rig/unary_unary").with_call(b"fine", metadata=metadata)
    assert UUID(request_id_of(call)).version == 4


def test_logs_one_line_a_request_and_the_traceback_of_what_nobody_foresaw(rig: Rig) -> None:
    with capture_logs() as lines:
        rig.fail("unary_unary", b"missing")
        assert rig.count("/rig/unary_unary", "NOT_FOUND")
        call = rig.fail("unary_stream", b"bug")
        assert rig.count("/rig/unary_stream", "INTERNAL")
    foreseen, traceback, unforeseen = lines
    assert foreseen.keys() == {
        "event",
        "log_level",
        "method",
        "code",
        "reason",
        "seconds",
        "request_id",
    }
    assert (foreseen["code"], foreseen["reason"]) == ("NOT_FOUND", "MODEL_NOT_FOUND")
    assert isinstance(traceback["exc_info"], KeyError)
    assert traceback["request_id"] == unforeseen["request_id"] == request_id_of(call)


def test_measures_how_long_requests_take(rig: Rig) -> None:
    rig.call("unary_stream", b"slow")
    assert rig.count("/rig/unary_stream", "OK") == 1
    name, labels = "unlearn_request_seconds_sum", {"method": "/rig/unary_stream"}
    seconds = rig.metrics.registry.get_sample_value(name, labels)
    assert seconds is not None
    assert seconds >= 0.2


def test_a_caller_who_leaves_a_stream_is_counted_as_cancelled(rig: Rig) -> None:
    answers = rig.channel.stream_stream("/rig/stream_stream")(_forever(), timeout=10)
    assert next(answers) == b"first"
    answers.cancel()
    assert rig.count("/rig/stream_stream", "CANCELLED") == 1


def test_a_caller_who_stops_waiting_is_counted_as_cancelled(rig: Rig) -> None:
    with pytest.raises(grpc.RpcError):
        rig.channel.unary_unary("/rig/unary_unary")(b"slow", timeout=0.05)
    assert rig.count("/rig/unary_unary", "CANCELLED") == 1


def _forever() -> Iterator[bytes]:
    while True:
        yield b"slow"


def test_reasons_of_one_code_stay_apart() -> None:
    assert len({reason.name for reason in Reason}) == len(Reason.__members__)
    assert Reason.MODEL_NOT_FOUND is not Reason.ERASURE_NOT_FOUND
    assert {reason.code for reason in Reason} <= set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.fixture
def crowd(rig: Rig) -> Iterator[list[grpc.Future]]:
    """As many requests as are admitted at a time, which stay until ``_held`` is set."""
    _held.clear()
    held = [
        rig.channel.unary_unary("/rig/unary_unary").future(b"held")
        for _ in range(THREADS + WAITING)
    ]
    while not rig.workers.is_full:
        time.sleep(0.01)
    yield held
    _held.set()


@pytest.mark.parametrize("kind", KINDS)
def test_one_request_too_many_is_told_at_once_when_to_come_again(
    rig: Rig, crowd: list[grpc.Future], kind: str
) -> None:
    with capture_logs() as lines:
        call = rig.fail(kind, b"fine")
        assert rig.count(f"/rig/{kind}", "RESOURCE_EXHAUSTED") == 1
    assert lines == []
    assert call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason(call) == "OVERLOADED"
    (retry,) = details(call, RetryInfo)
    assert retry.retry_delay.ToNanoseconds() > 0
    assert not any(each.done() for each in crowd)  # none of them had to end for it


def test_those_admitted_are_all_answered_and_then_there_is_room(
    rig: Rig, crowd: list[grpc.Future]
) -> None:
    rig.fail("unary_unary", b"fine")
    _held.set()
    assert [each.result(10) for each in crowd] == [b"ok"] * (THREADS + WAITING)
    while rig.workers.is_full:
        time.sleep(0.01)
    assert rig.call("unary_unary", b"fine") == [b"ok"]


def test_who_gives_up_while_waiting_leaves_room(rig: Rig, crowd: list[grpc.Future]) -> None:
    for each in crowd:
        each.cancel()
    _held.set()
    while rig.workers.is_full:
        time.sleep(0.01)
    assert rig.call("unary_unary", b"fine") == [b"ok"]
