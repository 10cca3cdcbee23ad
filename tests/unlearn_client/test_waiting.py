"""Waiting outlasts streams that break, and tells each change once."""

import grpc
import pytest

from unlearn.v1.erasure_pb2 import Erasure
from unlearn_client import Client, UnlearnError

JOURNEY = [Erasure.PENDING, Erasure.RUNNING, Erasure.SUCCEEDED]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr("unlearn_client.waiting.FIRST_PAUSE", 0.01)


def test_it_watches_to_the_end(client, book):
    book.states, seen = JOURNEY.copy(), []
    ended = client.wait_for_erasure("x", progress=lambda latest: seen.append(latest.state))
    assert ended.state == Erasure.SUCCEEDED
    assert seen == JOURNEY
    assert not book.requests["GetErasure"]


@pytest.mark.parametrize("state", ["CANCELLED", "REFUSED", "NEEDS_OPERATOR", "HELD"])
def test_it_ends_where_nothing_more_happens_by_itself(client, book, state):
    book.states = [Erasure.State.Value(state)]
    assert client.wait_for_erasure("x").state == Erasure.State.Value(state)


@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"])
def test_it_polls_where_it_cannot_watch(client, book, failure, code):
    book.failures["WatchErasure"] = [failure(grpc.StatusCode[code])]
    book.states, seen = JOURNEY.copy(), []
    client.wait_for_erasure("x", progress=lambda latest: seen.append(latest.state))
    assert seen == JOURNEY
    assert len(book.requests["WatchErasure"]) == 1
    assert len(book.requests["GetErasure"]) == 3


def test_it_survives_an_outage(client, book, failure):
    outage = [failure(grpc.StatusCode.UNAVAILABLE)] * 4  # as often as gRPC itself tries
    book.failures["WatchErasure"] = outage.copy()
    book.failures["GetErasure"] = [failure(grpc.StatusCode.RESOURCE_EXHAUSTED)]
    assert client.wait_for_erasure("x").state == Erasure.SUCCEEDED


def test_it_polls_on_after_the_watch_ran_into_its_deadline(book):
    book.states, book.hold_stream_open, seen = [Erasure.RUNNING], True, []

    def finish(latest: Erasure) -> None:
        seen.append(latest.state)
        book.states = [Erasure.SUCCEEDED]

    with Client(book.address, timeout=0.3) as client:
        client.wait_for_erasure("x", progress=finish)
    assert seen == [Erasure.RUNNING, Erasure.SUCCEEDED]


def test_other_failures_are_raised(client, book, failure):
    book.failures["WatchErasure"] = [failure(grpc.StatusCode.NOT_FOUND)]
    with pytest.raises(UnlearnError) as raised:
        client.wait_for_erasure("x")
    assert raised.value.code is grpc.StatusCode.NOT_FOUND


def test_patience_ends(client, book):
    book.states = [Erasure.PENDING]
    with pytest.raises(UnlearnError, match="goes on by itself") as raised:
        client.wait_for_erasure("x", patience=0.3)
    assert raised.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
