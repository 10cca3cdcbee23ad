"""What a certificate states, where the service's own tests do not come."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tests.unlearn_server.cases import NOW, case
from unlearn_client.verification.statements import read_statement
from unlearn_server import statements
from unlearn_server.domain import Extension
from unlearn_server.ledger.log import Head
from unlearn_server.log.merkle import Frontier
from unlearn_server.statements import Commitment
from unlearning.release import NO_LEAKAGE, UNBOUNDED

HEAD = Head("unlearn.example/log", Frontier(), "")


def stated(**changes: Any) -> dict[str, Any]:
    return statements.erasure(case(**changes), HEAD, 17)


def test_a_verifier_reads_what_is_stated() -> None:
    statement = stated()
    read = read_statement(rfc8785.dumps(statement))
    assert read.document == statement
    assert (read.origin, read.index) == ("unlearn.example/log", 17)
    assert read.commitments["subject"].count == 1
    assert read.not_covered == statements.NOT_COVERED


def test_a_verifier_reads_what_is_stated_of_a_refusal() -> None:
    erasure = replace(case().erasure, extension=Extension(NOW, "too many at once", NOW))
    refused = statements.Refused(erasure, Commitment(1, b"r" * 32), "gdpr-17-3-b", NOW)
    statement = statements.refusal(refused, HEAD, 17)
    read = read_statement(rfc8785.dumps(statement))
    assert (read.document, read.kind) == (statement, statements.REFUSAL)
    assert read.commitments["subject"].count == 1
    assert read.not_covered == statements.REFUSAL_NOT_COVERED
    assert "too many" not in str(statement)
    without = statements.refusal(replace(refused, subjects=None), HEAD, 17)
    assert read_statement(rfc8785.dumps(without)).commitments == {}


def test_what_is_not_known_is_left_out() -> None:
    statement = stated(
        subjects=None,
        samples=None,
        release=None,
        outcome=replace(case().outcome, release_after=None, solve=None),
    )
    told = statement["predicate"]
    assert told["commitments"] == {}
    assert "solve" not in told
    assert told["release"] == {"before": "models/m/releases/1", "after": None}
    assert [subject["name"] for subject in statement["subject"]] == ["models/m"]
    assert read_statement(rfc8785.dumps(statement)).commitments == {}


def test_destruction_is_only_what_was_done() -> None:
    outcome = case().outcome
    done = {
        (erased, before): stated(
            outcome=replace(outcome, erased_samples=erased, release_before=before)
        )["predicate"]["destruction"]
        for erased in (0, 2)
        for before in (None, 1)
    }
    assert done[0, None] == done[0, 1] == []
    assert len(done[2, None]) == 1
    assert len(done[2, 1]) == 2


def test_infinity_is_a_word_in_every_number() -> None:
    bound = stated(outcome=replace(case().outcome, bound=UNBOUNDED.bound(1)))["predicate"]["bound"]
    assert bound["nats"] == bound["gaussianDp"] == bound["differencingGaussianDp"] == "Infinity"
    assert b"Infinity" in rfc8785.dumps(bound)
    solve = replace(case().outcome.solve, distance_bound=inf)
    told = stated(outcome=replace(case().outcome, solve=solve, bound=NO_LEAKAGE.bound(1)))
    assert told["predicate"]["solve"]["distanceBound"] == "Infinity"


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_are_of_rfc_3339_and_come_back(time: datetime) -> None:
    text = statements.rfc3339(time)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    assert datetime.fromisoformat(text) == time


@pytest.mark.parametrize("index", [0, 2**53 - 1])
def test_a_change_of_the_key_names_both(index: int) -> None:
    statement = statements.rotation("old", "new", "ab" * 32, HEAD, index)
    assert statement["predicateType"] == "urn:unlearn:key-rotation:v1"
    assert statement["predicate"] == {
        "previousKey": "old",
        "nextKey": "new",
        "origin": "unlearn.example/log",
        "index": index,
    }
    assert statement["subject"] == [
        {"name": "unlearn.example/log", "digest": {"sha256": "ab" * 32}}
    ]
