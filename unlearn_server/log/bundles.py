"""Envelope and inclusion in one file: a Sigstore bundle 0.3 (sigstore/protobuf-specs).

Its verifier is named by a public key's id, since the key is the server's own. There is no
timestamp of an authority; the certificate's times are the server's word.
"""

from typing import Any

import rfc8785

from unlearn_server.log.base64text import encoded
from unlearn_server.log.entries import KIND, VERSION
from unlearn_server.log.envelopes import Envelope
from unlearn_server.log.notes import VerifierKey
from unlearn_server.log.proofs import Inclusion

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def bundle(envelope: Envelope, leaf: bytes, inclusion: Inclusion, log: VerifierKey) -> bytes:
    """An envelope of one signature, and that ``leaf``, its entry, is in the log of that key."""
    [key_id] = envelope.signatures
    material: dict[str, Any] = {
        "publicKey": {"hint": key_id},
        "tlogEntries": [_log_entry(leaf, inclusion, log)],
    }
    return rfc8785.dumps(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": material,
            "dsseEnvelope": envelope.to_dict(),
        }
    )


def _log_entry(leaf: bytes, inclusion: Inclusion, log: VerifierKey) -> dict[str, Any]:
    """A TransparencyLogEntry; protobuf's JSON writes int64 as strings."""
    proof = {
        "logIndex": str(inclusion.index),
        "rootHash": encoded(inclusion.root),
        "treeSize": str(inclusion.size),
        "hashes": [encoded(node) for node in inclusion.path],
        "checkpoint": {"envelope": inclusion.checkpoint},
    }
    return {
        "logIndex": str(inclusion.index),
        "logId": {"keyId": encoded(log.digest)},
        "kindVersion": {"kind": KIND, "version": VERSION},
        "integratedTime": "0",  # means nothing without an inclusion promise, which we have not
        "inclusionProof": proof,
        "canonicalizedBody": encoded(leaf),
    }
