"""What a witness signs, and with which status it refuses the rest (C2SP tlog-witness)."""

from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unlearn_client.verification.logs import Key, SignedLog, b64, mth, statement
from tests.unlearn_client.witness.conftest import NAME, SIZE
from unlearn_client.verification import Witness, read_checkpoint
from unlearn_client.verification.merkle import EMPTY_ROOT
from unlearn_client.witness import Cosigner, opened, read_logs


def fork(of: SignedLog, common: int, size: int) -> SignedLog:
    """A log that begins like another and goes on otherwise, under its key."""
    other = SignedLog()
    for index in range(size):
        other.append(None if index < common else statement(index) | {"note": "another history"})
    assert other.leaves[:common] == of.leaves[:common]
    return other


def owner(cosigner: Cosigner) -> Witness:
    return Witness.read(cosigner._key.verifier_key)


def test_it_signs_what_continues(cosigner, log, request_of):
    for old, size in ((0, 1), (1, 1), (1, 5), (5, 8), (8, 12)):
        answer = cosigner.add_checkpoint(request_of(log, old, size))
        assert (answer.status, answer.body.count("\n")) == (200, 1)
        checkpoint = read_checkpoint(log.checkpoint(size) + answer.body.encode())
        assert owner(cosigner).time_of(checkpoint) is not None


def test_it_says_which_size_it_knows(cosigner, log, request_of):
    for old, size in ((3, 5), (0, 5), (0, 7), (3, 7)):
        answer = cosigner.add_checkpoint(request_of(log, old, size))
        known = 0 if (old, size) == (3, 5) else 5
        if (old, size) == (0, 5):
            assert answer.status == 200
        else:
            assert answer == type(answer)(409, f"{known}\n", "text/x.tlog.size")


def test_what_it_refuses_and_how(cosigner, log, request_of):
    assert cosigner.add_checkpoint(request_of(log, 0, 5)).status == 200
    other, foreign = fork(log, 4, 9), SignedLog(6, origin="other.example/log")
    altered = log.checkpoint(7).replace(b"\n7\n", b"\n8\n")
    empty = log.key.note(f"{log.origin}\n0\n{b64(bytes(32))}\n").encode()
    refused = {
        400: [
            b"",
            b"old 5\n",
            b"old 05\n\n" + log.checkpoint(5),
            b"old -5\n\n" + log.checkpoint(5),
            b"size 5\n\n" + log.checkpoint(5),
            b"old 5\nnonsense\n\n" + log.checkpoint(5),
            b"old 5\n" + b"AAAA\n" + b"\n" + log.checkpoint(7),
            request_of(log, 5, 7, checkpoint=b"nonsense"),
            request_of(log, 5, 7, proof=[bytes(32)] * 64),
            request_of(log, 5, 4),
            b"\xff" * 100,
            b"a" * 2**20,
        ],
        403: [
            request_of(log, 5, 7, checkpoint=altered),
            request_of(log, 5, 7, checkpoint=log.checkpoint(7, Key(9))),
        ],
        404: [request_of(foreign, 0, 6)],
        422: [
            request_of(log, 5, 7, proof=[]),
            request_of(log, 5, 7, proof=[bytes(32)] * 3),
            request_of(log, 5, 5, proof=[bytes(32)]),
            request_of(other, 5, 5),
            request_of(other, 5, 9),
            request_of(log, 0, 0, checkpoint=empty),
        ],
    }
    for status, bodies in refused.items():
        for body in bodies:
            assert cosigner.add_checkpoint(body).status == status, body
    assert cosigner.add_checkpoint(request_of(log, 5, 7)).status == 200


def test_a_proof_for_the_first_checkpoint_is_refused(cosigner, log, request_of):
    assert cosigner.add_checkpoint(request_of(log, 0, 5, proof=[bytes(32)])).status == 422


def test_an_empty_log_is_signed(cosigner, log, request_of):
    assert mth([]) == EMPTY_ROOT
    assert cosigner.add_checkpoint(request_of(log, 0, 0)).status == 200
    assert cosigner.add_checkpoint(request_of(log, 0, 3)).status == 200


def test_it_shows_what_it_signed_last(cosigner, log, request_of):
    name = sha256(log.origin.encode()).hexdigest()
    assert cosigner.newest(name).status == 404
    strange = Key(9).signature_line("something else\n", "other.example")
    note = log.checkpoint(6) + strange.encode()
    answer = cosigner.add_checkpoint(request_of(log, 0, 6, checkpoint=note))
    shown = cosigner.newest(name)
    assert shown.status == 200
    assert shown.body == log.checkpoint(6).decode() + answer.body
    assert cosigner.newest("0" * 64).status == 404


def test_a_key_that_follows_may_be_named_beforehand(tmp_path: Path, request_of):
    log = SignedLog(3)
    old = log.key
    log.rotate(2)
    with opened(tmp_path / "state", tmp_path / "key", NAME) as (key, state):
        both = read_logs([old.verifier_key(), log.key.verifier_key()])
        cosigner = Cosigner(key, both, state)
        first = request_of(log, 0, 3, checkpoint=log.checkpoint(3, old))
        assert cosigner.add_checkpoint(first).status == 200
        assert cosigner.add_checkpoint(request_of(log, 3, 4)).status == 200


def test_time_never_goes_back(tmp_path: Path, log, request_of):
    with opened(tmp_path / "state", tmp_path / "key", NAME) as (key, state):
        clock = iter([1000.9, 500.0, 1001.0])
        cosigner = Cosigner(key, read_logs([log.key.verifier_key()]), state, lambda: next(clock))
        times = []
        for old, size in ((0, 2), (2, 3), (3, 4)):
            line = cosigner.add_checkpoint(request_of(log, old, size)).body
            note = read_checkpoint(log.checkpoint(size) + line.encode())
            times.append(key.witness.time_of(note).timestamp())
    assert times == [1000, 1000, 1001]


SIZES = st.integers(0, SIZE)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.booleans(), SIZES, SIZES), max_size=12))
def test_whatever_it_is_asked_it_signs_one_history(tmp_path_factory, log, request_of, asked):
    """Two forks ask in any order: all that is signed is of one of them, and only grows."""
    forks = log, fork(log, 4, SIZE)
    folder = tmp_path_factory.mktemp("witness")
    signed: list[tuple[SignedLog, int]] = []
    for which, old, size in asked:
        # It starts anew for each request: all that it knows is in its file.
        with opened(folder / "state", folder / "key", NAME) as (key, state):
            cosigner = Cosigner(key, read_logs([log.key.verifier_key()]), state)
            answer = cosigner.add_checkpoint(request_of(forks[which], old, size))
        last = signed[-1] if signed else (log, 0)
        same = forks[which].leaves[: last[1]] == last[0].leaves[: last[1]]
        if old > size:
            assert answer.status == 400
        elif old != last[1]:
            assert (answer.status, answer.body) == (409, f"{last[1]}\n")
        elif same:
            assert answer.status == 200
            signed.append((forks[which], size))
        else:
            assert answer.status == 422
    for (one, size), (other, later) in pairwise(signed):
        assert size <= later
        assert one.leaves[:size] == other.leaves[:size]
