"""What a monitor flags of certificates and of a server that does not give them all."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from tests.unlearn_client.verification.logs import Key, SignedLog, statement
from tests.unlearn_client.verification.test_refusals import refusal
from unlearn.v1.audit_pb2 import Certificate
from unlearn.v1.erasure_pb2 import Erasure
from unlearn_client.errors import UnavailableError, UnlearnError, VerificationError
from unlearn_client.monitor import Monitor
from unlearn_client.monitor_memory import Memory
from unlearn_client.verification import Witness, Witnesses, open_log, read_trusted

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NAME = "w.example/1"


class Server:
    """Gives the certificates of a log, but for those that it keeps back or mixes up."""

    def __init__(self, log: SignedLog, changed: dict[int, int | None] | None = None) -> None:
        self._log = log
        self._changed = changed or {}
        self.erasures: list[Erasure] = []

    def get_certificate(self, name: str) -> Certificate:
        index = self._changed.get(int(name), int(name))
        if index is None:
            raise UnlearnError(grpc.StatusCode.NOT_FOUND, "there is none")
        return Certificate(envelope=self._log.dsse(index), tlog_proof=self._log.proof(index))

    def list_erasures(self, states: Iterable[int]) -> Iterable[Erasure]:
        wanted = set(states)
        return [erasure for erasure in self.erasures if erasure.state in wanted]


@pytest.fixture
def look(tmp_path: Path):
    def look(
        log: SignedLog,
        memory: Memory | None = None,
        *,
        budget: float = float("inf"),
        server: Server | None = None,
        trusted: str | None = None,
        witnesses: Witnesses | None = None,
        now: datetime = NOW,
    ):
        place = open_log(str(log.publish(tmp_path, *range(1, log.size))), 1)
        keyring = read_trusted((trusted or log.key.verifier_key()).encode())
        asked = witnesses or Witnesses((), 0)
        monitor = Monitor(server or Server(log), place, keyring, asked, budget, 0.1)
        return monitor.look(memory or Memory(), now)

    return look


def changed(index: int, **predicate: object) -> dict:
    said = statement(index)
    said["predicate"] |= predicate
    return said


def told(look) -> list[tuple[str, bool]]:
    return [(finding.about, finding.flagged) for finding in look.findings]


def test_nothing_to_flag(look):
    found = look(SignedLog(5))
    assert (told(found), found.flagged) == ([], False)
    assert [each.index for each in found.certificates] == [0, 1, 2, 3, 4]
    assert found.memory.seen == 5
    later = look(SignedLog(9), found.memory)
    assert [each.index for each in later.certificates] == [5, 6, 7, 8]


def test_late_completions_and_bounds_above_the_budget(look):
    log = SignedLog(2)
    log.append(changed(2, completeTime="2026-02-01T00:00:00.000001Z"))
    bound = statement(3)["predicate"]["bound"]
    log.append(changed(3, bound=bound | {"nats": 0.25}))
    log.append(changed(4, bound=bound | {"nats": "Infinity"}))
    assert told(look(log)) == [("certificates/2", True)]
    for budget, above in ((0.25, [4]), (0.2499, [3, 4]), (0, [3, 4])):
        expected = [("certificates/2", True), *((f"certificates/{i}", True) for i in above)]
        assert told(look(log, budget=budget)) == expected


def test_refusals_are_verified_and_late_ones_flagged(look):
    log = SignedLog(2)
    for index, time in ((2, "2026-01-02T00:00:00Z"), (3, "2026-02-02T00:00:00Z")):
        software = statement(0)["predicate"]["software"]
        place = statement(index)["predicate"]["log"]
        log.append(refusal(refuseTime=time, log=place, software=software))
    found = look(log)
    assert told(found) == [("certificates/3", True)]
    assert [each.index for each in found.certificates] == [0, 1, 2, 3]


def test_a_changed_core_is_flagged_and_changed_software_is_told(look):
    log = SignedLog(2)
    model = statement(0)["predicate"]["model"]
    before = look(log).memory
    log.append(changed(2, model=model | {"core": {"name": "lite0", "digest": "f" * 64}}))
    software = statement(0)["predicate"]["software"]
    log.append(changed(3, model=model, software=software | {"digest": "f" * 64}))
    for memory in (None, before):
        found = look(log, memory)
        assert told(found) == [("models/m", True), ("models/m", True), ("certificates/3", False)]
    assert not look(log, found.memory).findings


def test_a_changed_key_is_flagged_once(look):
    log = SignedLog(2)
    first = log.key.verifier_key()
    before = look(log).memory
    log.rotate(2)
    log.append()
    found = look(log, before, trusted=first)
    assert told(found) == [("the log", True)]
    assert [each.index for each in found.certificates] == [3]
    assert not look(log, found.memory, trusted=first).findings


def test_a_certificate_does_not_hide_where_a_key_says_that_it_changed(look):
    log = SignedLog(2)
    first = log.key
    before = look(log).memory
    log.rotate(2)
    log.envelopes[2] = first.envelope(
        changed(2, bound=statement(2)["predicate"]["bound"] | {"nats": 9})
    )
    log.append()
    found = look(log, before, trusted=first.verifier_key(), budget=1.0)
    assert ("certificates/2", True) in told(found)


@pytest.mark.parametrize(("instead", "missing"), [(None, 2), (1, 2), (3, 2)])
def test_a_certificate_that_the_server_keeps_back_is_missed(look, instead, missing):
    log = SignedLog(4)
    found = look(log, server=Server(log, {missing: instead}))
    assert told(found) == [(f"certificates/{missing}", True)]
    assert "the log has it, and the server has not" in found.findings[0].words
    assert found.memory is None


def test_a_certificate_that_does_not_hold_is_refused_until_it_does(look):
    log = SignedLog(2)
    log.append(key=Key(9))
    log.append()
    for _ in range(2):
        found = look(log)
        assert told(found) == [("certificates/2", True), ("the proof of certificates/2", True)]
        assert found.memory is None
        assert [each.index for each in found.certificates] == [0, 1, 3]


def test_two_histories_and_a_strange_key(look):
    memory = look(SignedLog(3)).memory
    fork = SignedLog(2)
    fork.append(statement(2) | {"note": "another history"})
    fork.append()
    for log, trusted, words in (
        (fork, None, "two histories"),
        (SignedLog(2), None, "rolled back"),
        (SignedLog(4), Key(9).verifier_key(), "none of the known keys"),
    ):
        found = look(log, memory, trusted=trusted)
        assert told(found) == [("the log", True)]
        assert words in found.findings[0].words
        assert (found.memory, found.checkpoint, found.certificates) == (None, None, ())


def test_requests_that_are_overdue_or_refused(look):
    log = SignedLog(1)
    server = Server(log)
    for number, (state, day) in enumerate(
        [
            (Erasure.PENDING, 28),
            (Erasure.HELD, 28),
            (Erasure.NEEDS_OPERATOR, 20),
            (Erasure.RUNNING, 10),
            (Erasure.SUCCEEDED, 1),
            (Erasure.CANCELLED, 1),
            (Erasure.REFUSED, 28),
        ]
    ):
        erasure = Erasure(name=f"erasures/{number}", state=state, state_reason="why")
        erasure.due_time.FromDatetime(datetime(2026, 2, day))
        server.erasures.append(erasure)
    found = look(log, server=server, now=datetime(2026, 2, 20, 0, 0, 1, tzinfo=UTC))
    assert told(found) == [("erasures/2", True), ("erasures/3", True), ("erasures/6", True)]
    later = look(log, found.memory, server=server)
    assert told(later) == [(f"erasures/{number}", True) for number in range(4)]


def test_witnesses_that_are_missing(look):
    log, key = SignedLog(3), Key(21)
    witnesses = Witnesses([Witness.read(key.witness_key(NAME))], 1)
    found = look(log, witnesses=witnesses)
    assert told(found) == [("the log", True)]
    assert "only 0 of the 1 witnesses" in found.findings[0].words
    assert len(found.certificates) == 3
    checkpoint = key.cosign(log.checkpoint(), NAME, 1_700_000_000)
    log.checkpoint = lambda *_: checkpoint
    assert not look(log, witnesses=witnesses).findings


def test_a_log_that_is_behind_its_certificates_cannot_be_judged(look):
    log = SignedLog(3)
    ahead = SignedLog(4)
    with pytest.raises(UnavailableError, match="not published at its size 4"):
        look(log, server=Server(ahead))


def test_memory_is_kept_whole_or_refused(look, tmp_path):
    memory, path = look(SignedLog(3)).memory, tmp_path / "state"
    assert Memory.read(path) == Memory()
    memory.write(path)
    assert Memory.read(path) == memory
    whole = json.loads(path.read_text())
    for name in whole:
        for bad in ({k: v for k, v in whole.items() if k != name}, whole | {name: [1]}):
            path.write_text(json.dumps(bad))
            with pytest.raises(VerificationError, match="is damaged"):
                Memory.read(path)
