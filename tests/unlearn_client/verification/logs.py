"""Logs and certificates made from the specifications' definitions, slowly and obviously.

Nothing here is shared with the verifier or the server. What a test forges, it forges here.
"""

import hashlib
import hmac
import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ORIGIN = "unlearn.example/log"
SALT = hashlib.sha256(b"salt").digest()
SUBJECTS = frozenset({"ada", "grace", "zoë"})


def b64(data: bytes) -> str:
    return b64encode(data).decode()


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def mth(leaves: Sequence[bytes]) -> bytes:
    """Merkle tree hash, word for word (RFC 6962, section 2.1)."""
    n = len(leaves)
    if n == 0:
        return sha256(b"")
    if n == 1:
        return sha256(b"\0" + leaves[0])
    k = split(n)
    return sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:]))


def audit_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n]) of RFC 6962, section 2.1.1."""
    n = len(leaves)
    if n == 1:
        return []
    k = split(n)
    if m < k:
        return [*audit_path(m, leaves[:k]), mth(leaves[k:])]
    return [*audit_path(m - k, leaves[k:]), mth(leaves[:k])]


def consistency(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PROOF(m, D[n]) of RFC 6962, section 2.1.2."""
    return [] if m in (0, len(leaves)) else subproof(m, leaves, complete=True)


def subproof(m: int, leaves: Sequence[bytes], *, complete: bool) -> list[bytes]:
    n = len(leaves)
    if m == n:
        return [] if complete else [mth(leaves)]
    k = split(n)
    if m <= k:
        return [*subproof(m, leaves[:k], complete=complete), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], complete=False), mth(leaves[:k])]


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def tiles(leaves: Sequence[bytes]) -> dict[str, bytes]:
    """Every tile of a log of this size, by path (C2SP tlog-tiles, "Merkle Tree")."""
    found, level, width = {}, 0, 1
    while len(leaves) >= width:
        nodes = [mth(leaves[i : i + width]) for i in range(0, len(leaves) + 1 - width, width)]
        for n in range(0, len(nodes), 256):
            tile = nodes[n : n + 256]
            suffix = "" if len(tile) == 256 else f".p/{len(tile)}"
            found[f"tile/{level}/{n // 256:03}{suffix}"] = b"".join(tile)
        level, width = level + 1, width * 256
    return found


class Key:
    """A signing key, always the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        public = self.private.public_key()
        self.raw = public.public_bytes_raw()
        self.pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        self.der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.fingerprint = hashlib.sha256(self.der).hexdigest()

    def note_id(self, name: str) -> bytes:
        return sha256(name.encode() + b"\n\x01" + self.raw)[:4]

    def verifier_key(self, name: str = ORIGIN) -> str:
        material = b64(b"\x01" + self.raw)
        return f"{name}+{self.note_id(name).hex()}+{material}"

    def note(self, text: str, name: str = ORIGIN) -> str:
        return f"{text}\n{self.signature_line(text, name)}"

    def signature_line(self, text: str, name: str = ORIGIN) -> str:
        return f"— {name} {b64(self.note_id(name) + self.private.sign(text.encode()))}\n"

    def witness_key(self, name: str) -> str:
        """The verifier key of a witness (C2SP tlog-cosignature)."""
        return f"{name}+{self.witness_id(name).hex()}+{b64(bytes([4]) + self.raw)}"

    def witness_id(self, name: str) -> bytes:
        return sha256(name.encode() + bytes([10, 4]) + self.raw)[:4]

    def cosign(self, checkpoint: bytes, name: str, time: int) -> bytes:
        """A checkpoint with the witness's line below (C2SP tlog-cosignature)."""
        text = checkpoint.partition(b"\n\n")[0] + b"\n"
        signed = self.private.sign(b"cosignature/v1\ntime " + str(time).encode() + b"\n" + text)
        sealed = b64(self.witness_id(name) + struct.pack(">Q", time) + signed)
        return checkpoint + f"— {name} {sealed}\n".encode()

    def envelope(self, statement: dict[str, Any]) -> dict[str, Any]:
        payload, kind = json.dumps(statement).encode(), "application/vnd.in-toto+json"
        pae = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
        signature = {"keyid": self.fingerprint, "sig": b64(self.private.sign(pae))}
        return {"payload": b64(payload), "payloadType": kind, "signatures": [signature]}


def entry(envelope: dict[str, Any], key: Key) -> bytes:
    """The Rekor v2 entry; its keys are sorted and its values ASCII, so this is canonical."""
    digest = b64(sha256(b64decode(envelope["payload"])))
    verifier = {"keyDetails": "PKIX_ED25519", "publicKey": {"rawBytes": b64(key.der)}}
    signatures = [{"content": envelope["signatures"][0]["sig"], "verifier": verifier}]
    payload_hash = {"algorithm": "SHA2_256", "digest": digest}
    spec = {"dsseV002": {"payloadHash": payload_hash, "signatures": signatures}}
    document = {"apiVersion": "0.0.2", "kind": "dsse", "spec": spec}
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def commitment(kind: str, ids: frozenset[str], salt: bytes = SALT) -> dict[str, Any]:
    committed = []
    for name in ids:
        opening = hmac.digest(salt, kind.encode() + b"\0" + name.encode(), "sha256")
        committed.append(hmac.digest(opening, name.encode(), "sha256"))
    return {"count": len(ids), "root": mth(sorted(committed)).hex()}


def statement(index: int, origin: str = ORIGIN) -> dict[str, Any]:
    """What a certificate says, with every member that the design knows."""
    weights = "b" * 64
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "models/m", "digest": {"sha256": "a" * 64}},
            {"name": "models/m/releases/2", "digest": {"hmacSha256": weights}},
        ],
        "predicateType": "urn:unlearn:erasure:v1",
        "predicate": {
            "erasure": f"erasures/{index}",
            "regulation": "gdpr",
            "receiveTime": "2026-01-01T00:00:00Z",
            "dueTime": "2026-02-01T00:00:00Z",
            "completeTime": "2026-01-01T00:00:01.5Z",
            "model": {
                "name": "models/m",
                "digest": "a" * 64,
                "core": {"name": "lite0", "digest": "c" * 64},
            },
            "method": {"name": "EXACT", "parameters": {"ridge": 1}},
            "samples": {"erased": 1, "remaining": 57},
            "commitments": {
                "subjects": commitment("subject", SUBJECTS),
                "samples": commitment("sample", frozenset({str(index)})),
            },
            "release": {
                "before": "models/m/releases/1",
                "after": "models/m/releases/2",
                "stateCommitment": "d" * 64,
                "weightsCommitment": weights,
            },
            "solve": {
                "solver": "cholesky",
                "gradientNorm": 1e-9,
                "distanceBound": 0.125,
                "correctlyRounded": True,
            },
            "bound": {
                "nats": 0,
                "gaussianDp": 0,
                "epsilon": 0,
                "delta": 1e-6,
                "attackAccuracy": 0.5,
                "attackTpr": 0.01,
                "differencingGaussianDp": "Infinity",
                "cohort": 3,
                "assumptions": ["the server ran the software that it names"],
            },
            "notCovered": ["copies that others made"],
            "destruction": ["the keys of the samples"],
            "software": {"name": "unlearn-server", "version": "0.1.0", "digest": "e" * 64},
            "log": {"origin": origin, "index": index},
        },
    }


class SignedLog:
    """A log of certificates, whose key may change."""

    def __init__(self, size: int = 0, *, seed: int = 1, origin: str = ORIGIN) -> None:
        self.origin = origin
        self.key = Key(seed)
        self.envelopes: list[dict[str, Any]] = []
        self.signers: list[Key] = []
        self.listed = [{**self._listing(self.key), "firstIndex": 0, "endorsement": None}]
        for _ in range(size):
            self.append()

    @property
    def size(self) -> int:
        return len(self.envelopes)

    @property
    def leaves(self) -> list[bytes]:
        return [entry(e, k) for e, k in zip(self.envelopes, self.signers, strict=True)]

    def append(self, said: dict[str, Any] | None = None, key: Key | None = None) -> int:
        """Logs a statement; by default the next certificate."""
        signer = key or self.key
        self.envelopes.append(signer.envelope(said or statement(self.size, self.origin)))
        self.signers.append(signer)
        return self.size - 1

    def rotate(self, seed: int) -> None:
        following = Key(seed)
        said = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": self.origin, "digest": {"sha256": following.fingerprint}}],
            "predicateType": "urn:unlearn:key-rotation:v1",
            "predicate": {
                "previousKey": self.key.pem,
                "nextKey": following.pem,
                "origin": self.origin,
                "index": self.size,
            },
        }
        index = self.append(said)
        endorsement = self.envelopes[index]
        row = {"firstIndex": index + 1, "endorsement": endorsement}
        self.listed.append({**self._listing(following), **row})
        self.key = following

    def _listing(self, key: Key) -> dict[str, str]:
        return {"publicKey": key.pem, "verifierKey": key.verifier_key(self.origin)}

    def keys_json(self) -> bytes:
        return json.dumps({"origin": self.origin, "keys": self.listed}).encode()

    def checkpoint(self, size: int | None = None, key: Key | None = None) -> bytes:
        size = self.size if size is None else size
        text = f"{self.origin}\n{size}\n{b64(mth(self.leaves[:size]))}\n"
        return (key or self.key).note(text, self.origin).encode()

    def payload(self, index: int) -> bytes:
        return b64decode(self.envelopes[index]["payload"])

    def dsse(self, index: int) -> bytes:
        return json.dumps(self.envelopes[index]).encode()

    def proof(self, index: int, size: int | None = None, key: Key | None = None) -> bytes:
        size = self.size if size is None else size
        hashes = [b64(node) for node in audit_path(index, self.leaves[:size])]
        head = ["c2sp.org/tlog-proof@v1", f"index {index}", *hashes, "", ""]
        return "\n".join(head).encode() + self.checkpoint(size, key)

    def bundle_document(
        self, index: int, size: int | None = None, key: Key | None = None
    ) -> dict[str, Any]:
        size = self.size if size is None else size
        leaves = self.leaves[:size]
        proof = {
            "logIndex": str(index),
            "rootHash": b64(mth(leaves)),
            "treeSize": str(size),
            "hashes": [b64(node) for node in audit_path(index, leaves)],
            "checkpoint": {"envelope": self.checkpoint(size, key).decode()},
        }
        logged = {
            "logIndex": str(index),
            "logId": {"keyId": b64(sha256(b"log"))},
            "kindVersion": {"kind": "dsse", "version": "0.0.2"},
            "integratedTime": "0",
            "inclusionProof": proof,
            "canonicalizedBody": b64(leaves[index]),
        }
        hint = self.envelopes[index]["signatures"][0]["keyid"]
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": [logged]},
            "dsseEnvelope": self.envelopes[index],
        }

    def bundle(self, index: int, size: int | None = None, key: Key | None = None) -> bytes:
        return json.dumps(self.bundle_document(index, size, key)).encode()

    def files(self, index: int, size: int | None = None) -> dict[str, bytes]:
        """All three files of a certificate."""
        return {
            f"{index}.dsse.json": self.dsse(index),
            f"{index}.sigstore.json": self.bundle(index, size),
            f"{index}.tlog-proof": self.proof(index, size),
        }

    def publish(self, folder: Path, *sizes: int) -> Path:
        """Writes the static log, with the partial tiles of these sizes too."""
        for size in (*sizes, self.size):
            for path, content in tiles(self.leaves[:size]).items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
        (folder / "checkpoint").write_bytes(self.checkpoint())
        (folder / "keys.json").write_bytes(self.keys_json())
        return folder
