"""Sorting files into certificates.

A certificate comes in up to three files, recognised by their content: the DSSE envelope,
a Sigstore bundle, and a tlog-proof. Files belong together if they are about one log
entry: a proof belongs to the certificate for whose leaf hash it gives the log's root.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from unlearn_client.errors import VerificationError
from unlearn_client.verification.encoding import json_object
from unlearn_client.verification.envelopes import MAX_ENVELOPE_BYTES, Envelope, read_envelope
from unlearn_client.verification.keyrings import Keyring, LogKey
from unlearn_client.verification.merkle import leaf_hash
from unlearn_client.verification.proofs import (
    PROOF_HEADER,
    Bundle,
    Proof,
    read_bundle,
    read_proof,
)

MAX_FILE_BYTES = 2 * MAX_ENVELOPE_BYTES


@dataclass
class Certificate:
    """The files about one log entry.

    Attributes:
        envelope: the certificate itself.
        files: their names.
        proofs: that the log holds it.
    """

    envelope: Envelope
    files: list[str] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)


class Evidence:
    """All files at hand, sorted.

    Attributes:
        refusals: the files that are malformed, or belong to no certificate: (name, reason).
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.refusals: list[tuple[str, str]] = []
        self._envelopes: dict[str, Envelope] = {}
        self._bundles: dict[str, Bundle] = {}
        self._proofs: dict[str, Proof] = {}
        for name, content in files.items():
            try:
                self._add(name, content)
            except VerificationError as error:
                self.refusals.append((name, str(error)))

    def _add(self, name: str, content: bytes) -> None:
        if content.startswith(PROOF_HEADER.encode()):
            self._proofs[name] = read_proof(content)
            return
        document = json_object(content, "it", MAX_FILE_BYTES)
        if "mediaType" in document:
            self._bundles[name] = read_bundle(document)
        elif "payload" in document:
            self._envelopes[name] = read_envelope(document)
        else:
            raise VerificationError("it is no DSSE envelope, Sigstore bundle or tlog-proof")

    def own_keys(self) -> Keyring:
        """The keys that the certificates themselves name."""
        keys = dict.fromkeys(LogKey(bundle.key) for bundle in self._bundles.values())
        return Keyring(tuple(keys), pinned=False)

    def certificates(self, keyring: Keyring) -> list[Certificate]:
        """The certificates with their proofs; what fits none becomes a refusal."""
        found: dict[bytes, Certificate] = {}
        for name, envelope in self._all_envelopes():
            try:
                key = keyring.key(envelope.key_id).key
            except VerificationError as error:
                self.refusals.append((name, str(error)))
                continue
            leaf = leaf_hash(envelope.entry(key))
            certificate = found.setdefault(leaf, Certificate(envelope))
            certificate.files.append(name)
            if bundle := self._bundles.get(name):
                certificate.proofs.append(bundle.proof)
        for name, proof in self._proofs.items():
            self._match(name, proof, found)
        return list(found.values())

    def _all_envelopes(self) -> Iterator[tuple[str, Envelope]]:
        yield from self._envelopes.items()
        yield from ((name, bundle.envelope) for name, bundle in self._bundles.items())

    def _match(self, name: str, proof: Proof, found: Mapping[bytes, Certificate]) -> None:
        for leaf, certificate in found.items():
            if _proves(proof, leaf):
                certificate.files.append(name)
                certificate.proofs.append(proof)
                return
        self.refusals.append((name, "it is the proof of none of the certificates given"))


def _proves(proof: Proof, leaf: bytes) -> bool:
    try:
        proof.verify(leaf)
    except VerificationError:
        return False
    return True
