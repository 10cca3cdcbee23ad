"""Verifying certificates: what is proven, what is only claimed, what is not covered.

A certificate comes in up to three files, recognised by their content: the DSSE envelope,
a Sigstore bundle, and a tlog-proof. Files belong together if they are about one log
entry: a proof belongs to the certificate for whose leaf hash it gives the log's root.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from unlearn_client.errors import VerificationError
from unlearn_client.verification.encoding import json_object
from unlearn_client.verification.envelopes import MAX_ENVELOPE_BYTES, Envelope, read_envelope
from unlearn_client.verification.history import History
from unlearn_client.verification.keyrings import MAX_KEYS_BYTES, Keyring, LogKey
from unlearn_client.verification.merkle import leaf_hash
from unlearn_client.verification.notes import Checkpoint
from unlearn_client.verification.openings import Opening
from unlearn_client.verification.proofs import (
    PROOF_HEADER,
    Bundle,
    Proof,
    read_bundle,
    read_proof,
)
from unlearn_client.verification.statements import Statement, read_statement
from unlearn_client.verification.tiles import Log

MAX_FILE_BYTES = 2 * MAX_ENVELOPE_BYTES


@dataclass(frozen=True)
class Report:
    """What came of verifying one certificate.

    Attributes:
        files: that it came in.
        refusal: why it is not believed; empty if it is. Then the rest is empty.
        proven: what follows from signatures and hashes alone.
        statement: what the key's owner claims.
        not_covered: what neither says.
        key: the fingerprint of the key that signed.
    """

    files: tuple[str, ...]
    refusal: str = ""
    proven: tuple[str, ...] = ()
    statement: Statement | None = None
    not_covered: tuple[str, ...] = ()
    key: str = ""


@dataclass(frozen=True)
class Verification:
    """What came of verifying files.

    Attributes:
        reports: one for each certificate, and for each file that belongs to none.
        pinned: did the user say which keys to trust?
        checkpoint: the log's newest, worth saving if nothing was refused; None: none was good.
    """

    reports: tuple[Report, ...]
    pinned: bool
    checkpoint: Checkpoint | None

    @property
    def verified(self) -> bool:
        """Was nothing refused?"""
        return not any(report.refusal for report in self.reports)


def verify(
    files: Mapping[str, bytes],
    trusted: Keyring | None = None,
    log: Log | None = None,
    saved: bytes | None = None,
    opening: Opening | None = None,
) -> Verification:
    """Verifies every certificate in these files, all of one log.

    Args:
        files: content by name.
        trusted: the keys to trust; None: take the certificates' own, and say so.
        log: the log itself; its keys.json, if it has one, may add keys that these endorsed.
        saved: the log's checkpoint kept from before.
        opening: opens the commitments of every certificate.

    Raises:
        VerificationError: the log itself, or the saved checkpoint, is refused.
    """
    evidence = _Evidence(files)
    keyring = trusted or evidence.own_keys()
    if log and (keys_json := log.read("keys.json", MAX_KEYS_BYTES)):
        keyring = keyring.extended(keys_json)
    keyring.check_common_owner()
    certificates = evidence.certificates(keyring)
    history = History(keyring, log, saved)
    reports = [_report(one, keyring, history, opening) for one in certificates]
    return Verification((*reports, *evidence.refusals), keyring.pinned, history.newest)


@dataclass
class _Certificate:
    """The files about one log entry.

    Attributes:
        envelope: the certificate itself.
        files: their names.
        proofs: that the log holds it.
    """

    envelope: Envelope
    files: list[str] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)


class _Evidence:
    """All files at hand, sorted; those that are malformed are kept as refusals."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.refusals: list[Report] = []
        self._envelopes: dict[str, Envelope] = {}
        self._bundles: dict[str, Bundle] = {}
        self._proofs: dict[str, Proof] = {}
        for name, content in files.items():
            try:
                self._add(name, content)
            except VerificationError as error:
                self.refusals.append(Report((name,), str(error)))

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

    def certificates(self, keyring: Keyring) -> list[_Certificate]:
        """The certificates with their proofs; what fits none becomes a refusal."""
        found: dict[bytes, _Certificate] = {}
        for name, envelope in self._all_envelopes():
            try:
                key = keyring.key(envelope.key_id).key
            except VerificationError as error:
                self.refusals.append(Report((name,), str(error)))
                continue
            leaf = leaf_hash(envelope.entry(key))
            certificate = found.setdefault(leaf, _Certificate(envelope))
            certificate.files.append(name)
            if bundle := self._bundles.get(name):
                certificate.proofs.append(bundle.proof)
        for name, proof in self._proofs.items():
            self._match(name, proof, found)
        return list(found.values())

    def _all_envelopes(self) -> Iterator[tuple[str, Envelope]]:
        yield from self._envelopes.items()
        yield from ((name, bundle.envelope) for name, bundle in self._bundles.items())

    def _match(self, name: str, proof: Proof, found: Mapping[bytes, _Certificate]) -> None:
        for leaf, certificate in found.items():
            if _proves(proof, leaf):
                certificate.files.append(name)
                certificate.proofs.append(proof)
                return
        self.refusals.append(Report((name,), "it is the proof of none of the certificates given"))


def _report(
    certificate: _Certificate, keyring: Keyring, history: History, opening: Opening | None
) -> Report:
    files = tuple(certificate.files)
    try:
        return _verified(certificate, files, keyring, history, opening)
    except VerificationError as error:
        return Report(files, str(error))


def _verified(
    certificate: _Certificate,
    files: tuple[str, ...],
    keyring: Keyring,
    history: History,
    opening: Opening | None,
) -> Report:
    """The order matters: nothing is read from a statement before its signature is checked."""
    envelope = certificate.envelope
    known = keyring.key(envelope.key_id)
    if not envelope.signed_by(known.key):
        raise VerificationError("its signature does not fit: it was altered, or is a forgery")
    statement = read_statement(envelope.payload)
    if not certificate.proofs:
        raise VerificationError(
            "nothing shows that the log holds it: give its tlog-proof or bundle too"
        )
    leaf = leaf_hash(envelope.entry(known.key))
    proven = [_signature_words(known, keyring)]
    for proof in certificate.proofs:
        proven += _logged(proof, leaf, statement, known, keyring, history)
    if opening is not None:
        proven += opening.verify(statement)
    return Report(
        files=files,
        proven=tuple(dict.fromkeys(proven)),
        statement=statement,
        not_covered=(*statement.not_covered, *_caveats(keyring, history)),
        key=known.key.fingerprint,
    )


def _logged(
    proof: Proof,
    leaf: bytes,
    statement: Statement,
    known: LogKey,
    keyring: Keyring,
    history: History,
) -> Iterator[str]:
    proof.verify(leaf)
    checkpoint = proof.checkpoint
    signer = keyring.verify_checkpoint(checkpoint)
    yield (
        f"The log {checkpoint.origin}, at its size {checkpoint.size}, holds exactly this "
        f"certificate at index {proof.index}; the log's key {signer.key.fingerprint} signed so."
    )
    if (statement.origin, statement.index) != (checkpoint.origin, proof.index):
        raise VerificationError(
            f"it says that it is entry {statement.index} of {statement.origin}, "
            f"but it is entry {proof.index} of {checkpoint.origin}"
        )
    yield "That is the log and the index that the certificate itself names."
    if not known.may_sign_entry(proof.index):
        raise VerificationError("it is signed by a key outside that key's time")
    history.admit(checkpoint)
    if history.saved:
        yield f"The log's history agrees with its checkpoint saved at size {history.saved.size}."
    if history.current:
        yield f"It agrees with the log as published now, at size {history.current.size}."


def _signature_words(known: LogKey, keyring: Keyring) -> str:
    trust = "which you trust" if keyring.pinned else "its own, not pinned"
    return f"It is signed, unaltered, by the key {known.key.fingerprint} ({trust})."


def _caveats(keyring: Keyring, history: History) -> Iterator[str]:
    if not keyring.pinned:
        yield (
            "That the key belongs to whom you think: compare its fingerprint with one that you "
            "got another way, and give the key with --key."
        )
    if history.saved is None:
        yield (
            "That the log shows this same history to everybody and for ever: keep its checkpoint "
            "with --checkpoint, to be told if it does not."
        )


def _proves(proof: Proof, leaf: bytes) -> bool:
    try:
        proof.verify(leaf)
    except VerificationError:
        return False
    return True
