"""Leaves of the log: a Rekor v2 ``dsse`` entry of version 0.0.2 for each envelope.

It holds hashes, a signature and a public key; what a statement says stays out of the log.
"""

import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from unlearn_server.log.base64text import encoded
from unlearn_server.log.envelopes import Envelope, key_id, spki

KIND = "dsse"
VERSION = "0.0.2"


def entry(envelope: Envelope, key: Ed25519PublicKey) -> bytes:
    """The leaf for an envelope that ``key`` verifies, in RFC 8785 bytes (sigstore/rekor-tiles)."""
    signature = bytes.fromhex(envelope.signatures[key_id(key)].signature)
    verifier = {"keyDetails": "PKIX_ED25519", "publicKey": {"rawBytes": encoded(spki(key))}}
    payload_hash = encoded(hashlib.sha256(envelope.payload).digest())
    spec: dict[str, Any] = {
        "payloadHash": {"algorithm": "SHA2_256", "digest": payload_hash},
        "signatures": [{"content": encoded(signature), "verifier": verifier}],
    }
    document = {"kind": KIND, "apiVersion": VERSION, "spec": {"dsseV002": spec}}
    # Strings of ASCII alone: of such json makes the same bytes, much sooner.
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
