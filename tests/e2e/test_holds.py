"""Holds, extensions and refusals, asked of a server as their operators and others do."""

import json
from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

import grpc
import pytest
from click.testing import CliRunner

from tests.e2e.evidence import check_documented
from unlearn.v1.erasure_pb2 import Erasure
from unlearn_client import Selection, UnlearnError
from unlearn_client.cli import main
from unlearn_client.verification import Opening, read_trusted, verify

SALT = bytes(range(32))
GROUND, WHY = "gdpr-17-3-b", "kept as tax law demands"


@pytest.fixture
def run(server: Any) -> Callable[..., list[dict[str, Any]]]:
    """Runs the ``unlearn`` command; the documents that it prints."""

    def run(*words: str) -> list[dict[str, Any]]:
        address = f"localhost:{server.port}"
        result = CliRunner().invoke(main, ["--address", address, "--json", *words])
        assert result.exit_code == 0, result.output
        # The server is in this process, and may log meanwhile.
        return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]

    return run


def test_a_hold_suspends_and_lifting_it_lets_go_on(
    server: Any, filled: Any, make_sample: Any, run: Any
) -> None:
    model = filled([make_sample(f"{who}-{i}", who) for who in ("eve", "fay") for i in range(2)])
    [placed] = run("holds", "place", "eve", "--reason", "a lawsuit")
    assert run("holds", "list") == [placed]
    assert (placed["reason"], "liftTime" in placed) == ("a lawsuit", False)
    held = server.client.create_erasure(Selection.subjects(["eve"]))
    done = server.client.create_erasure(Selection.subjects(["fay"]))
    assert server.client.wait_for_erasure(done.name).state == Erasure.SUCCEEDED
    assert server.client.wait_for_erasure(held.name).state == Erasure.HELD
    assert [each.name for each in server.client.list_erasures([Erasure.HELD])] == [held.name]
    [lifted] = run("holds", "lift", placed["name"])
    assert lifted["placeTime"] == placed["placeTime"]
    assert run("holds", "lift", placed["name"]) == run("holds", "list") == [lifted]
    ended = server.client.wait_for_erasure(held.name)
    assert (ended.state, ended.outcomes[0].erased_samples) == (Erasure.SUCCEEDED, 2)
    assert server.client.audit_model(model).consistent


def test_a_refusal_is_evidence(server: Any, filled: Any, make_sample: Any, run: Any) -> None:
    model = filled([make_sample("gus-0", "gus")], minimum_cohort=9)
    asked = server.client.create_erasure(
        Selection.subjects(["gus"]), regulation="gdpr", commitment_salt=SALT
    )
    due = asked.due_time.ToDatetime(UTC) + timedelta(days=40)
    words = f"{due:%Y-%m-%dT%H:%M:%SZ}"
    [extended] = run("erasures", "extend", asked.name, "--due", words, "--reason", "many at once")
    assert extended["dueTime"] == words
    assert extended["extension"]["firstDueTime"] == asked.due_time.ToJsonString()
    [refused] = run("erasures", "refuse", asked.name, "--ground", GROUND, "--reason", WHY)
    assert (refused["state"], refused["stateReason"]) == ("REFUSED", WHY)
    assert refused["refusalGround"] == GROUND
    [listed] = server.client.list_certificates(erasure=asked.name)
    assert (listed.name, listed.model) == (refused["certificate"], "")
    assert listed == server.client.get_certificate(listed.name)
    files = {"a": listed.envelope, "b": listed.tlog_proof, "c": listed.bundle}
    key = read_trusted(listed.public_key)
    opening = Opening(SALT, {"subject": frozenset({"gus"})})
    (report,) = verify(files, key, opening=opening).reports
    assert report.refusal == ""
    claims = dict(report.statement.claims)
    assert claims["Ground"] == GROUND
    assert claims["Refused"] == f"{asked.name} in models/{model}"
    assert claims["Refused at"].endswith("on time")
    assert "Extended" in claims
    check_documented([report.statement.document])
    assert WHY not in json.dumps(report.statement.document)
    assert server.client.get_model(model).sample_count == 1
    with pytest.raises(UnlearnError) as late:
        server.client.cancel_erasure(asked.name)
    assert late.value.reason == "ERASURE_STATE"


def test_who_was_erased_may_come_back(server: Any, filled: Any, make_sample: Any, run: Any) -> None:
    model = filled([make_sample(f"{who}-0", who) for who in ("hal", "ivy")])
    asked = server.client.create_erasure(Selection.subjects(["hal"]))
    assert server.client.wait_for_erasure(asked.name).state == Erasure.SUCCEEDED
    back = [make_sample("ivy-1", "ivy"), make_sample("hal-1", "hal")]
    with pytest.raises(UnlearnError) as refused:
        server.client.add_samples(model, back)
    assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.value.reason == "SUBJECT_SUPPRESSED"
    assert refused.value.metadata["sample"] == "1"
    assert "hal" not in refused.value.message
    assert run("suppressions", "lift", model, "hal", "--reason", "a new account") == [
        {"lifted": f"models/{model}"}
    ]
    server.client.add_samples(model, back)
    assert server.client.get_model(model).sample_count == 3
