"""DSSE envelopes, and the log entries that stand for them.

An entry of kind ``dsse``, version 0.0.2, of Rekor v2 holds hashes and keys only
(rekor-tiles, api/proto/rekor/v2/dsse.proto). It is made here from the envelope, never
taken from a file, so that a proof can only ever be about the certificate at hand.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import rfc8785

from unlearn_client.errors import VerificationError
from unlearn_client.verification.encoding import base64, json_object
from unlearn_client.verification.keys import SIGNATURE_BYTES, PublicKey, encode
from unlearn_client.verification.members import Members

MAX_ENVELOPE_BYTES = 2**20
PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class Envelope:
    """A signed statement. It is worth nothing until its signature is checked.

    Attributes:
        payload: the statement's bytes.
        key_id: which key is said to have signed.
        signature: 64 bytes.
    """

    payload: bytes
    key_id: str
    signature: bytes

    def signed_by(self, key: PublicKey) -> bool:
        """Did this key sign it?"""
        return key.signed(_pae(PAYLOAD_TYPE, self.payload), self.signature)

    def entry(self, key: PublicKey) -> bytes:
        """The log's entry for it, canonical JSON (RFC 8785)."""
        digest = encode(sha256(self.payload).digest())
        verifier = {"keyDetails": "PKIX_ED25519", "publicKey": {"rawBytes": encode(key.der)}}
        spec: dict[str, Any] = {
            "payloadHash": {"algorithm": "SHA2_256", "digest": digest},
            "signatures": [{"content": encode(self.signature), "verifier": verifier}],
        }
        return rfc8785.dumps({"apiVersion": "0.0.2", "kind": "dsse", "spec": {"dsseV002": spec}})


def entry_key(entry: bytes) -> PublicKey:
    """The key that an entry names. Compare the entry with ``Envelope.entry`` of that key.

    Raises:
        VerificationError: it names none.
    """
    members = Members(json_object(entry, "the log entry", MAX_ENVELOPE_BYTES), "the log entry")
    signatures = members.objects("spec.dsseV002.signatures")
    if len(signatures) != 1:
        raise VerificationError("the log entry does not have one signature")
    der = Members(signatures[0], "the log entry").text("verifier.publicKey.rawBytes")
    return PublicKey.from_der(base64(der, "the log entry's key"))


def read_envelope(document: dict[str, Any]) -> Envelope:
    """Reads an envelope of one signature.

    Other members are ignored, as DSSE demands: nothing is believed but the payload.

    Raises:
        VerificationError: it is malformed, or of another payload type.
    """
    members = Members(document, "the envelope")
    if members.get("payloadType") != PAYLOAD_TYPE:
        raise VerificationError(f"the envelope's payload type is not {PAYLOAD_TYPE}")
    signatures = members.objects("signatures")
    if len(signatures) != 1:
        raise VerificationError("the envelope does not have exactly one signature")
    signature = Members(signatures[0], "the envelope's signature")
    return Envelope(
        payload=base64(members.text("payload"), "the envelope's payload"),
        key_id=signature.digest("keyid"),
        signature=base64(signature.text("sig"), "the envelope's signature", SIGNATURE_BYTES),
    )


def _pae(kind: str, body: bytes) -> bytes:
    """What is signed (DSSE protocol, PAE); the type is ASCII."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(body), body)
