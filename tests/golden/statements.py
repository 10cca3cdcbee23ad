"""What the golden certificates say, and whom they say it of."""

import hashlib
import hmac
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.golden.trees import Tree
from unlearn_server.log.envelopes import key_id

SALT = hashlib.sha256(b"a caller's salt").digest()
SUBJECTS = ["ada", "grace", "zoë"]
SAMPLES = ["1", "2", "3", "4", "5", "6", "7"]


def commit(kind: str, ids: list[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A commitment to ids as a statement has it, and how each of them is opened alone."""
    opened = []
    for each in ids:
        message = kind.encode() + b"\0" + each.encode()
        opening = hmac.digest(SALT, message, "sha256")
        opened.append((hmac.digest(opening, each.encode(), "sha256"), opening, each))
    opened.sort()
    tree = Tree([commitment for commitment, _, _ in opened])
    openings = [
        {
            "kind": kind,
            "id": each,
            "opening": opening.hex(),
            "commitment": commitment.hex(),
            "index": index,
            "size": len(ids),
            "path": [node.hex() for node in tree.inclusion(index, len(ids))],
            "root": tree.root(len(ids)).hex(),
        }
        for index, (commitment, opening, each) in enumerate(opened)
    ]
    return {"count": len(ids), "root": tree.root(len(ids)).hex()}, openings


def certificate(origin: str, index: int) -> dict[str, Any]:
    """The statement of an erasure; the same for the same place in the same log."""
    model, before, after = "models/m", "models/m/releases/1", "models/m/releases/2"
    digest = hashlib.sha256(b"model").hexdigest()
    weights, state = (hashlib.sha256(name).hexdigest() for name in (b"weights", b"state"))
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": model, "digest": {"sha256": digest}},
            {"name": after, "digest": {"hmacSha256": weights}},
        ],
        "predicateType": "urn:unlearn:erasure:v1",
        "predicate": {
            "erasure": f"erasures/00000000-0000-4000-8000-{index:012}",
            "regulation": "gdpr",
            "receiveTime": "2026-01-01T00:00:00Z",
            "dueTime": "2026-02-01T00:00:00Z",
            "completeTime": "2026-01-01T00:00:01.5Z",
            "model": {
                "name": model,
                "digest": digest,
                "core": {"name": "identity", "digest": hashlib.sha256(b"core").hexdigest()},
            },
            "method": {"name": "EXACT", "parameters": {"ridge": 1048576, "alpha": 0.25}},
            "samples": {"erased": len(SAMPLES), "remaining": 57},
            "commitments": {
                "subjects": commit("subject", SUBJECTS)[0],
                "samples": commit("sample", SAMPLES)[0],
            },
            "release": {
                "before": before,
                "after": after,
                "stateCommitment": state,
                "weightsCommitment": weights,
            },
            "solve": {
                "solver": "cholesky",
                "gradientNorm": 1.5e-9,
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
                "cohort": len(SUBJECTS),
                "assumptions": ["the server ran the software that it names"],
            },
            "notCovered": ["copies that others made of released weights"],
            "destruction": ["the wrapped keys of the samples are deleted"],
            "software": {
                "name": "unlearn-server",
                "version": "0.1.0",
                "digest": hashlib.sha256(b"software").hexdigest(),
            },
            "log": {"origin": origin, "index": index},
        },
    }


def rotation(
    origin: str, index: int, previous: Ed25519PublicKey, following: Ed25519PublicKey
) -> dict[str, Any]:
    """The statement by which a key hands over to the next."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": origin, "digest": {"sha256": key_id(following)}}],
        "predicateType": "urn:unlearn:key-rotation:v1",
        "predicate": {
            "previousKey": pem(previous),
            "nextKey": pem(following),
            "origin": origin,
            "index": index,
        },
    }


def pem(key: Ed25519PublicKey) -> str:
    """A key as it is published."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
