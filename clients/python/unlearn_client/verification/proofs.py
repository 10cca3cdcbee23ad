"""Proofs that a log holds an entry: C2SP tlog-proof files and Sigstore bundles."""

from dataclasses import dataclass
from typing import Any

from unlearn_client.errors import VerificationError
from unlearn_client.verification.encoding import base64, decimal, utf8
from unlearn_client.verification.envelopes import Envelope, entry_key, read_envelope
from unlearn_client.verification.keys import PublicKey
from unlearn_client.verification.members import Members
from unlearn_client.verification.merkle import HASH_BYTES, MAX_PROOF, verify_inclusion
from unlearn_client.verification.notes import Checkpoint, read_checkpoint

MAX_PROOF_BYTES = 256 * 2**10
PROOF_HEADER = "c2sp.org/tlog-proof@v1"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@dataclass(frozen=True)
class Proof:
    """That an entry is at an index of the log that a checkpoint describes.

    Attributes:
        index: from 0.
        hashes: of the siblings, from the leaf up.
        checkpoint: not yet believed.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: Checkpoint

    def verify(self, leaf: bytes) -> None:
        """Is the entry with this leaf hash there?

        Raises:
            VerificationError: it is not, as far as this proof shows.
        """
        size, root = self.checkpoint.size, self.checkpoint.root
        verify_inclusion(leaf, self.index, size, self.hashes, root)


@dataclass(frozen=True)
class Bundle:
    """An envelope with its proof.

    Attributes:
        envelope: the certificate.
        key: that the bundle says signed it.
        proof: that the log holds it.
    """

    envelope: Envelope
    key: PublicKey
    proof: Proof


def read_proof(data: bytes) -> Proof:
    """Reads a tlog-proof. Its extra data, which nobody signed, is ignored.

    Raises:
        VerificationError: it is malformed.
    """
    content = utf8(data, "the proof", MAX_PROOF_BYTES)
    head, separator, note = content.partition("\n\n")
    header, *lines = head.split("\n")
    if header != PROOF_HEADER or not separator:
        raise VerificationError(f"the proof is not a {PROOF_HEADER}")
    if lines and lines[0].startswith("extra "):
        base64(lines.pop(0).removeprefix("extra "), "the proof's extra data")
    if not lines or not lines[0].startswith("index "):
        raise VerificationError("the proof has no index")
    index = decimal(lines[0].removeprefix("index "), "the proof's index")
    return Proof(index, _hashes(lines[1:]), read_checkpoint(note.encode()))


def read_bundle(document: dict[str, Any]) -> Bundle:
    """Reads a Sigstore bundle v0.3 of a public key, with one log entry.

    Raises:
        VerificationError: it is malformed, or its parts are not about one certificate.
    """
    bundle = Members(document, "the bundle")
    bundle.only("mediaType", "verificationMaterial", "dsseEnvelope")
    if bundle.get("mediaType") != BUNDLE_TYPE:
        raise VerificationError(f"the bundle is not a {BUNDLE_TYPE}")
    material = _object(bundle, "verificationMaterial")
    material.only("publicKey", "tlogEntries", "timestampVerificationData")
    if material.get("timestampVerificationData") not in (None, {}):
        raise VerificationError("the bundle has timestamps, which nothing here can verify")
    envelope = read_envelope(_raw_object(bundle, "dsseEnvelope"))
    if material.text("publicKey.hint") != envelope.key_id:
        raise VerificationError("the bundle's key hint is not its envelope's keyid")
    entries = material.objects("tlogEntries")
    if len(entries) != 1:
        raise VerificationError(f"the bundle has {len(entries)} log entries instead of one")
    return _with_entry(envelope, Members(entries[0], "the bundle's log entry"))


def _with_entry(envelope: Envelope, entry: Members) -> Bundle:
    entry.only(
        "logIndex", "logId", "kindVersion", "integratedTime", "inclusionProof", "canonicalizedBody"
    )
    if entry.get("kindVersion") != {"kind": "dsse", "version": "0.0.2"}:
        raise VerificationError("the bundle's log entry is not of kind dsse, version 0.0.2")
    body = base64(entry.text("canonicalizedBody"), "the bundle's canonicalized body")
    key = entry_key(body)
    if body != envelope.entry(key):
        raise VerificationError("the bundle's log entry is that of another certificate")
    inclusion = _object(entry, "inclusionProof")
    proof = _inclusion_proof(inclusion)
    if _int64(entry, "logIndex") != proof.index:
        raise VerificationError("the bundle names two different indices")
    return Bundle(envelope, key, proof)


def _inclusion_proof(inclusion: Members) -> Proof:
    inclusion.only("logIndex", "rootHash", "treeSize", "hashes", "checkpoint")
    checkpoint = read_checkpoint(inclusion.lines("checkpoint.envelope").encode())
    root = base64(inclusion.text("rootHash"), "the bundle's root hash", HASH_BYTES)
    if (_int64(inclusion, "treeSize"), root) != (checkpoint.size, checkpoint.root):
        raise VerificationError("the bundle's size and root hash are not its checkpoint's")
    hashes = inclusion.texts("hashes") if inclusion.has("hashes") else []
    return Proof(_int64(inclusion, "logIndex"), _hashes(hashes), checkpoint)


def _int64(members: Members, path: str) -> int:
    """As protobuf's JSON has it: a string, and nothing at all for zero."""
    if not members.has(path):
        return 0
    return decimal(members.text(path), f"the bundle's {path}")


def _hashes(texts: list[str]) -> tuple[bytes, ...]:
    if len(texts) > MAX_PROOF:
        raise VerificationError(f"the proof has more than {MAX_PROOF} hashes")
    return tuple(base64(text, "a hash of the proof", HASH_BYTES) for text in texts)


def _object(members: Members, path: str) -> Members:
    return Members(_raw_object(members, path), f"the bundle's {path}")


def _raw_object(members: Members, path: str) -> dict[str, Any]:
    value = members.get(path)
    if not isinstance(value, dict):
        raise members.error(path, "an object")
    return value
