"""The files of three logs that the server's own code wrote: two implementations must agree."""

import hashlib
import json
from pathlib import Path

import pytest

from unlearn_client.verification import Opening, Verification, open_log, read_trusted, verify
from unlearn_client.verification.merkle import verify_consistency, verify_inclusion
from unlearn_client.verification.notes import read_checkpoint
from unlearn_client.verification.openings import commitment_root

GOLDEN = Path(__file__).parents[2] / "golden"
LOGS = ["seven", "many", "rotated"]
ROTATION = 2
"""Where the log ``rotated`` changed its key; that entry is of no erasure."""


def certificate(log: str, index: int) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (GOLDEN / log).glob(f"*/{index}.*")}


def indices(log: str) -> list[int]:
    found = (GOLDEN / log / "certificates").glob("*.tlog-proof")
    numbers = sorted(int(path.name.partition(".")[0]) for path in found)
    return [number for number in numbers if (log, number) != ("rotated", ROTATION)]


CERTIFICATES = [(log, index) for log in LOGS for index in indices(log)]


def verified(name: str, index: int, **more) -> Verification:
    trusted = read_trusted((GOLDEN / name / "keys.json").read_bytes())
    verification = verify(certificate(name, index), trusted, **more)
    assert verification.verified, verification
    return verification


@pytest.mark.parametrize(("log", "index"), CERTIFICATES)
def test_every_certificate_is_verified(log, index):
    (report,) = verified(log, index).reports
    assert report.statement.index == index
    assert len(report.files) == 3


@pytest.mark.parametrize(("log", "index"), CERTIFICATES)
def test_every_certificate_is_in_the_log_as_published(log, index):
    place = GOLDEN / log
    saved = (place / "checkpoint").read_bytes()
    verification = verified(log, index, log=open_log(str(place), 1), saved=saved)
    assert verification.checkpoint == read_checkpoint(saved)


@pytest.mark.parametrize("log", LOGS)
def test_every_proof(log):
    proofs = json.loads((GOLDEN / log / "proofs.json").read_text())
    for each in proofs["inclusion"]:
        leaf, root = bytes.fromhex(each["leafHash"]), bytes.fromhex(each["root"])
        path = [bytes.fromhex(node) for node in each["path"]]
        verify_inclusion(leaf, each["index"], each["size"], path, root)
    for each in proofs["consistency"]:
        path = [bytes.fromhex(node) for node in each["path"]]
        roots = (bytes.fromhex(each["oldRoot"]), bytes.fromhex(each["newRoot"]))
        verify_consistency(each["old"], each["new"], path, *roots)


def test_the_commitments_open():
    salt = hashlib.sha256(b"a caller's salt").digest()
    openings = json.loads((GOLDEN / "openings.json").read_text())
    ids = {
        kind: frozenset(each["id"] for each in openings if each["kind"] == kind)
        for kind in ("subject", "sample")
    }
    for each in openings:
        assert commitment_root(salt, each["kind"], ids[each["kind"]]).hex() == each["root"]
    (report,) = verified("seven", 3, opening=Opening(salt, ids)).reports
    assert "The samples it was asked for are exactly the 7 given." in report.proven
