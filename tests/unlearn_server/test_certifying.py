"""Appending to the log: one leaf each, one key after another, nothing where anything fails."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unlearn_server.cases import case
from tests.unlearn_server.log import rfc9162
from unlearn_client.verification.keys import PublicKey
from unlearn_client.verification.notes import read_checkpoint
from unlearn_server.certifying import Certifier
from unlearn_server.errors import StartupError
from unlearn_server.evidence import Evidence
from unlearn_server.ledger import log
from unlearn_server.ledger.database import Database
from unlearn_server.log import envelopes

ORIGIN = "unlearn.example/log"


@contextmanager
def opened(directory: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{directory}/unlearn.db")
    yield database
    database.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path) as database:
        yield database


def begun(database: Database, key: Ed25519PrivateKey) -> Certifier:
    certifier = Certifier(key)
    with database.write() as conn:
        certifier.open(conn, ORIGIN)
    return certifier


def leaves(database: Database) -> list[log.Leaf]:
    with database.read() as conn:
        return list(log.leaves(conn, range(log.head(conn).frontier.size)))


def check_head(database: Database, key: Ed25519PrivateKey) -> None:
    """The checkpoint is of all leaves, by RFC 9162 read literally, and signed by the key."""
    with database.read() as conn:
        head = log.head(conn)
    entries = [leaf.entry for leaf in leaves(database)]
    note = read_checkpoint(head.checkpoint.encode())
    assert (note.origin, note.size) == (ORIGIN, len(entries))
    assert note.root == head.frontier.root == rfc9162.tree_hash(entries)
    assert note.signed_by(PublicKey(key.public_key().public_bytes_raw()))


@settings(max_examples=20)
@given(st.lists(st.integers(1, 9), max_size=8))
def test_batches_of_any_size_make_the_tree_of_all_their_leaves(batches: list[int]) -> None:
    key = Ed25519PrivateKey.generate()
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder)) as database:
        certifier, heads, count = begun(database, key), [], 0
        for batch in batches:
            cases = [case(f"r{count + i}") for i in range(batch)]
            with database.write() as conn:
                assert certifier.certify(conn, cases) == list(range(count, count + batch))
            count += batch
            check_head(database, key)
            with database.read() as conn:
                heads.append(log.head(conn).frontier)
        entries = [leaf.entry for leaf in leaves(database)]
        evidence = Evidence(database)
        for old, new in pairwise(heads):
            path = evidence.consistency_proof(old.size, new.size)
            assert path == rfc9162.consistency_path(old.size, entries[: new.size])
        for index, leaf in enumerate(leaves(database)):
            told = json.loads(envelopes.from_json(leaf.envelope).payload)["predicate"]
            assert (told["erasure"], told["log"]["index"]) == (f"erasures/r{index}", index)


def test_what_is_rolled_back_leaves_no_trace(database: Database) -> None:
    key = Ed25519PrivateKey.generate()
    certifier = begun(database, key)
    with pytest.raises(ZeroDivisionError), database.write() as conn:  # noqa: PT012
        certifier.certify(conn, [case("lost")])
        raise ZeroDivisionError
    check_head(database, key)
    assert leaves(database) == []
    with database.write() as conn:
        assert certifier.certify(conn, [case("kept")]) == [0]
    check_head(database, key)


def test_a_log_is_called_otherwise_only_as_long_as_it_is_empty(database: Database) -> None:
    key = Ed25519PrivateKey.generate()
    certifier = Certifier(key)
    with database.write() as conn:
        assert certifier.open(conn, None).origin.startswith("unlearn.local/")
    with pytest.raises(StartupError, match="the signing key"), database.write() as conn:
        Certifier(Ed25519PrivateKey.generate()).open(conn, ORIGIN)
    certifier = begun(database, key)
    check_head(database, key)
    with database.write() as conn:
        certifier.certify(conn, [case("first")])
    with pytest.raises(StartupError, match="for good"), database.write() as conn:
        certifier.open(conn, "another.example/log")
    check_head(database, key)


def test_a_key_signs_until_it_has_endorsed_the_next(database: Database) -> None:
    first, second = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    certifier = begun(database, first)
    with database.write() as conn:
        certifier.certify(conn, [case("a")])
        certifier.hand_over(conn, second)
    check_head(database, second)
    with database.write() as conn, pytest.raises(StartupError, match="not the one"):
        certifier.open(conn, None)
    following = begun(database, second)
    with database.write() as conn:
        following.certify(conn, [case("b")])
    signers = [[*envelopes.from_json(leaf.envelope).signatures] for leaf in leaves(database)]
    ids = [envelopes.key_id(key.public_key()) for key in (first, first, second)]
    assert signers == [[each] for each in ids]
    with database.read() as conn:
        keys = log.keys(conn)
    assert [key.first_index for key in keys] == [0, 2]
    assert [key.endorsement for key in keys] == [None, leaves(database)[1].envelope]


def test_appending_and_proving_cost_the_same_whatever_the_size(database: Database) -> None:
    key = Ed25519PrivateKey.generate()
    certifier, taken = begun(database, key), []
    for batch in (1, 500, 1, 1):
        sent: list[str] = []
        listen = lambda *args, sent=sent: sent.append(args[2])  # noqa: E731
        sa.event.listen(sa.Engine, "before_cursor_execute", listen)
        try:
            with database.write() as conn:
                certifier.certify(conn, [case(f"r{i}") for i in range(batch)])
            Evidence(database).certificate(0)
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", listen)
        taken.append(len(sent))
    assert len(set(taken)) <= 2  # a tree of one leaf needs no node
    assert max(taken) <= 14
    check_head(database, key)


def test_certificates_of_an_erasure_are_found_without_reading_the_log(database: Database) -> None:
    begun(database, Ed25519PrivateKey.generate())
    sent: list[tuple[str, tuple[object, ...]]] = []
    listen = lambda *args: sent.append((args[2], args[3]))  # noqa: E731
    sa.event.listen(sa.Engine, "before_cursor_execute", listen)
    try:
        assert Evidence(database).certificates(-1, 50, "request", None) == []
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", listen)
    [(query, parameters)] = [each for each in sent if "leaf_index" in each[0]]
    with database.read() as conn:
        plan = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", parameters)
        steps = [row.detail for row in plan]
    found = [step for step in steps if step.startswith("SEARCH outcomes")]
    assert len(found) == 1
    assert "erasure_key=?" in found[0]
    assert not any("log_leaves" in step or step.startswith("SCAN") for step in steps)


PLANS = [
    "SELECT * FROM log_leaves WHERE leaf_index = 7",
    "SELECT * FROM log_nodes WHERE number IN (1, 5)",
    "SELECT * FROM outcomes WHERE leaf_index = 7",
]


@pytest.mark.parametrize("query", PLANS)
def test_no_proof_scans_a_table(database: Database, query: str) -> None:
    with database.read() as conn:
        plan = [row.detail for row in conn.execute(sa.text(f"EXPLAIN QUERY PLAN {query}"))]
    assert all(step.startswith("SEARCH") for step in plan), plan
