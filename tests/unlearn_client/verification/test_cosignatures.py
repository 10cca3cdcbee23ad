"""Witnesses that cosigned, too few that did, and lines that only look like theirs."""

import json
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.unlearn_client.verification.logs import Key, SignedLog, b64
from unlearn_client.cli import main
from unlearn_client.verification import VerificationError, Witness, Witnesses, read_checkpoint

LOG = SignedLog(4)
NAMES = ["w.example/1", "w.example/2", "w.example/3"]
KEYS = [Key(seed) for seed in (21, 22, 23)]
KNOWN = [Witness.read(key.witness_key(name)) for key, name in zip(KEYS, NAMES, strict=True)]
TIME = 1_679_315_147


def cosigned(*who: int, time: int = TIME) -> bytes:
    note = LOG.checkpoint()
    for each in who:
        note = KEYS[each].cosign(note, NAMES[each], time + each)
    return note


@given(st.sets(st.integers(0, 2)), st.integers(0, 3))
def test_as_many_as_are_wanted(who, wanted):
    checkpoint = read_checkpoint(cosigned(*who))
    witnesses = Witnesses(KNOWN, wanted)
    if len(who) < wanted:
        with pytest.raises(VerificationError, match=f"only {len(who)} of the {wanted}"):
            witnesses.verify(checkpoint)
        return
    found = {(one.witness, one.time.timestamp()) for one in witnesses.verify(checkpoint)}
    assert found == {(NAMES[each], TIME + each) for each in who}


def test_several_lines_of_one_witness_count_once_at_the_latest_time():
    note = KEYS[0].cosign(cosigned(0), NAMES[0], TIME + 60)
    checkpoint = read_checkpoint(KEYS[0].cosign(note, NAMES[0], TIME - 60))
    (found,) = Witnesses(KNOWN, 1).verify(checkpoint)
    assert found.time == datetime.fromtimestamp(TIME + 60, UTC)
    with pytest.raises(VerificationError, match="only 1 of the 2"):
        Witnesses(KNOWN, 2).verify(checkpoint)


def test_lines_of_strangers_are_ignored():
    checkpoint = read_checkpoint(Key(30).cosign(cosigned(), NAMES[0], TIME))
    assert Witnesses(KNOWN, 0).verify(checkpoint) == ()


@pytest.mark.parametrize("position", range(72))
def test_a_signature_or_time_that_was_changed_refuses_the_note(position):
    lines = cosigned(0).decode().splitlines()
    head, _, sealed = lines[-1].rpartition(" ")
    changed = bytearray(b64decode(sealed))
    changed[4 + position] ^= 1
    note = "\n".join([*lines[:-1], f"{head} {b64(bytes(changed))}", ""])
    with pytest.raises(VerificationError, match=NAMES[0]):
        Witnesses(KNOWN, 0).verify(read_checkpoint(note.encode()))


@pytest.mark.parametrize("time", [2**63, 2**64 - 1, 253_402_300_800])
def test_times_that_cannot_be(time):
    with pytest.raises(VerificationError, match="no possible time"):
        Witnesses(KNOWN, 0).verify(read_checkpoint(cosigned(0, time=time)))


def test_another_tree_is_not_what_was_cosigned():
    smaller, line = LOG.checkpoint(3), cosigned(0).splitlines(keepends=True)[-1]
    with pytest.raises(VerificationError, match="does not fit"):
        Witnesses(KNOWN, 1).verify(read_checkpoint(smaller + line))


def test_policies_that_cannot_be():
    twice = Witness("another.example", KNOWN[0].key)
    for known, wanted in ((KNOWN, 4), ([], 1), ([*KNOWN, twice], 1), (KNOWN, -1)):
        with pytest.raises(VerificationError):
            Witnesses(known, wanted)
    for text in (LOG.key.verifier_key(), "", "w.example", KEYS[0].witness_key("a b")):
        with pytest.raises(VerificationError):
            Witness.read(text)


@pytest.fixture
def run(tmp_path: Path):
    key = tmp_path / "operator.pem"
    key.write_text(LOG.key.pem)
    proof = tmp_path / "proof"
    proof.write_bytes(LOG.proof(2).removesuffix(LOG.checkpoint()) + cosigned(0, 2))
    envelope = tmp_path / "envelope"
    envelope.write_bytes(LOG.dsse(2))

    def run(*words: str):
        files = [str(path) for path in (envelope, proof)]
        ran = CliRunner().invoke(main, ["--json", "verify", *files, "--key", str(key), *words])
        return ran.exit_code, json.loads(ran.stdout) if ran.exit_code < 2 else None

    return run


def test_the_command_says_who_and_when(run):
    named = [
        word for each in (0, 1, 2) for word in ("--witness", KEYS[each].witness_key(NAMES[each]))
    ]
    code, document = run(*named, "--witnesses", "2")
    assert code == 0
    assert document["witnesses"] == [
        {"name": NAMES[0], "time": "2023-03-20T12:25:47+00:00"},
        {"name": NAMES[2], "time": "2023-03-20T12:25:49+00:00"},
    ]
    assert any(NAMES[2] in line and "2023-03-20 12:25 UTC" in line for line in document["proven"])
    code, document = run(*named)
    assert code == 1
    assert "only 2 of the 3" in document["refusal"]
    assert document["witnesses"] == []
    assert run("--witness", "nonsense")[0] == 2
    assert run("--witnesses", "1")[0] == 2
    assert run()[1]["witnesses"] == []
