"""Whatever a stranger sends, it is refused in words: no other error, no hang, no belief."""

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unlearn_client.verification.logs import Key, SignedLog
from unlearn_client.errors import VerificationError
from unlearn_client.verification import Log, read_checkpoint, read_trusted, verify
from unlearn_client.verification.encoding import json_object
from unlearn_client.verification.envelopes import entry_key, read_envelope
from unlearn_client.verification.keys import PublicKey, read_verifier_key
from unlearn_client.verification.notes import MAX_NOTE_BYTES
from unlearn_client.verification.proofs import read_bundle, read_proof
from unlearn_client.verification.statements import read_statement

LOG = SignedLog(5)
LOG.rotate(2)
LOG.append()
TRUSTED = read_trusted(LOG.keys_json())


def json_of(reader: Callable) -> Callable[[bytes], object]:
    return lambda data: reader(json_object(data, "it", 2**20))


READERS: dict[str, Callable[[bytes], object]] = {
    "checkpoint": read_checkpoint,
    "proof": read_proof,
    "envelope": json_of(read_envelope),
    "bundle": json_of(read_bundle),
    "statement": read_statement,
    "entry": entry_key,
    "keys": read_trusted,
    "pem": PublicKey.from_pem,
    "der": PublicKey.from_der,
    "vkey": lambda data: read_verifier_key(data.decode("latin-1")),
    "extension": TRUSTED.extended,
}

GOLDEN = {
    "checkpoint": LOG.checkpoint(),
    "proof": LOG.proof(2),
    "envelope": LOG.dsse(2),
    "bundle": LOG.bundle(2),
    "statement": LOG.payload(2),
    "entry": LOG.leaves[2],
    "keys": LOG.keys_json(),
    "pem": LOG.key.pem.encode(),
    "der": LOG.key.der,
    "vkey": LOG.key.verifier_key().encode(),
    "extension": LOG.keys_json(),
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def survives(read: Callable[[bytes], object], data: bytes) -> None:
    with suppress(VerificationError):
        read(data)


@pytest.mark.parametrize("kind", READERS)
def test_what_the_mutations_start_from_is_good(kind):
    READERS[kind](GOLDEN[kind])


@pytest.mark.parametrize("kind", READERS)
@given(st.binary(max_size=400))
@example(b"")
def test_random_bytes(kind, data):
    survives(READERS[kind], data)


@st.composite
def mutations(draw, data: bytes) -> bytes:
    """The data with a few stretches replaced, doubled, dropped, or swapped."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        piece = draw(
            st.sampled_from([b"", data[start:end] * 2, data[start:end][::-1], b"\0", b"\n\n", b'"'])
            | st.binary(max_size=4)
        )
        data = data[:start] + piece + data[end:]
    return data


@pytest.mark.parametrize("kind", READERS)
@given(st.data())
def test_mutated_files(kind, data):
    survives(READERS[kind], data.draw(mutations(GOLDEN[kind])))


def paths(document: object, so_far: tuple = ()) -> list[tuple]:
    found = [so_far] if so_far else []
    if isinstance(document, dict):
        for key, value in document.items():
            found += paths(value, (*so_far, key))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            found += paths(value, (*so_far, index))
    return found


@pytest.mark.parametrize("kind", ["envelope", "bundle", "statement", "entry", "keys"])
@given(st.data())
def test_documents_with_a_member_replaced(kind, data):
    document = json.loads(GOLDEN[kind])
    *folders, last = data.draw(st.sampled_from(paths(document)))
    holder = document
    for folder in folders:
        holder = holder[folder]
    holder[last] = data.draw(JSON)
    survives(READERS[kind], json.dumps(document).encode())


@settings(max_examples=300)
@given(st.data())
def test_no_mutation_of_a_certificate_changes_what_it_says(data):
    """The strong form: whatever is still believed is the statement that was signed."""
    files = LOG.files(2)
    name = data.draw(st.sampled_from(sorted(files)))
    files[name] = data.draw(mutations(files[name]))
    for report in verify(files, TRUSTED).reports:
        if not report.refusal:
            assert report.statement.document == json.loads(LOG.payload(2))


@given(st.dictionaries(st.text(max_size=3), st.binary(max_size=60), max_size=4))
def test_any_files_at_all(files):
    assert all(report.refusal for report in verify(files, TRUSTED).reports)


@given(st.binary(max_size=9000), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_any_tiles_at_all(content, one, other):
    """A log of any size: at most 63 nodes are looked up, whatever it serves."""
    reads = []

    def read(path: str, limit: int) -> bytes:
        reads.append(path)
        return content[: limit + 1].ljust(limit, b"x")[:limit]

    Log(read).consistency_proof(*sorted((one, other)))
    assert len(reads) <= 2 * 64


@pytest.mark.parametrize(
    "bomb",
    [
        b'{"payload":' * 50_000,
        b"[" * 1_000_000,
        b'{"a":"' + b'\\"' * 500_000,
        b'"' * 1_000_000,
        b"c2sp.org/tlog-proof@v1\n" + b"\n" * 200_000,
        b"c2sp.org/tlog-proof@v1\nindex 1\n" + b"A\n" * 100_000,
        b"c2sp.org/tlog-proof@v1\nindex " + b"1" * 200_000 + b"\n\n",
        b'{"payload":' + b"1" * 1_000_000 + b"}",
    ],
    ids=lambda bomb: bomb[:30],
)
def test_bombs(bomb):
    (report,) = verify({"bomb": bomb}, TRUSTED).reports
    assert report.refusal


def test_a_note_of_nothing_but_signatures():
    lines = Key(1).signature_line("") * (MAX_NOTE_BYTES // 120)
    survives(read_checkpoint, f"o\n1\n{'A' * 43}=\n\n{lines}".encode())
