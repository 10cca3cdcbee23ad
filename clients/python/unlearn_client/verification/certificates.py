"""Verifying certificates: what is proven, what is only claimed, what is not covered."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from unlearn_client.errors import UnavailableError, VerificationError
from unlearn_client.verification.cosignatures import Cosignature, Witnesses
from unlearn_client.verification.evidence import Certificate, Evidence
from unlearn_client.verification.history import History
from unlearn_client.verification.keyrings import MAX_KEYS_BYTES, Keyring, LogKey
from unlearn_client.verification.merkle import leaf_hash
from unlearn_client.verification.notes import Checkpoint
from unlearn_client.verification.openings import Opening
from unlearn_client.verification.proofs import Proof
from unlearn_client.verification.statements import Statement, read_statement
from unlearn_client.verification.tiles import Log
from unlearn_client.verification.wording import minute


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
        cosignatures: of the witnesses that were asked about, on the log's checkpoint.
    """

    files: tuple[str, ...]
    refusal: str = ""
    proven: tuple[str, ...] = ()
    statement: Statement | None = None
    not_covered: tuple[str, ...] = ()
    key: str = ""
    cosignatures: tuple[Cosignature, ...] = ()


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
        """Was there something, and nothing of it refused?"""
        return bool(self.reports) and not any(report.refusal for report in self.reports)


def verify(
    files: Mapping[str, bytes],
    trusted: Keyring | None = None,
    log: Log | None = None,
    saved: bytes | None = None,
    opening: Opening | None = None,
    witnesses: Witnesses | None = None,
) -> Verification:
    """Verifies every certificate in these files, all of one log.

    Args:
        files: content by name.
        trusted: the keys to trust; None: take the certificates' own, and say so.
        log: the log itself; its keys.json, if it has one, may add keys that these endorsed.
        saved: the log's checkpoint kept from before.
        opening: opens the commitments of every certificate.
        witnesses: must have cosigned the checkpoint of every proof.

    Raises:
        VerificationError: the log itself, or the saved checkpoint, is refused.
        UnavailableError: the log cannot be had.
    """
    evidence = Evidence(files)
    keyring = trusted or evidence.own_keys()
    if log and (keys_json := log.read("keys.json", MAX_KEYS_BYTES)):
        keyring = keyring.extended(keys_json)
    keyring.check_common_owner()
    certificates = evidence.certificates(keyring)
    history = History(keyring, log, saved)
    asked = witnesses or Witnesses((), 0)
    reports = [_report(one, keyring, history, opening, asked) for one in certificates]
    refusals = [Report((name,), reason) for name, reason in evidence.refusals]
    return Verification((*reports, *refusals), keyring.pinned, history.newest)


def _report(
    certificate: Certificate,
    keyring: Keyring,
    history: History,
    opening: Opening | None,
    witnesses: Witnesses,
) -> Report:
    files = tuple(certificate.files)
    try:
        return _verified(certificate, files, keyring, history, opening, witnesses)
    except UnavailableError:
        raise
    except VerificationError as error:
        return Report(files, str(error))


def _verified(
    certificate: Certificate,
    files: tuple[str, ...],
    keyring: Keyring,
    history: History,
    opening: Opening | None,
    witnesses: Witnesses,
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
    cosignatures: tuple[Cosignature, ...] = ()
    for proof in certificate.proofs:
        proven += _logged(proof, leaf, statement, known, keyring, history)
        cosignatures = witnesses.verify(proof.checkpoint)
        proven += _cosigned_words(proof.checkpoint, cosignatures)
    if opening is not None:
        proven += opening.verify(statement)
    return Report(
        files=files,
        proven=tuple(dict.fromkeys(proven)),
        statement=statement,
        not_covered=(*statement.not_covered, *_caveats(keyring, history, cosignatures)),
        key=known.key.fingerprint,
        cosignatures=cosignatures,
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


def _cosigned_words(checkpoint: Checkpoint, cosignatures: tuple[Cosignature, ...]) -> Iterator[str]:
    if cosignatures:
        who = ", ".join(f"{one.witness} ({minute(one.time)})" for one in cosignatures)
        yield (
            "These witnesses signed that the log, at its size "
            f"{checkpoint.size}, continues every history of it that they had seen: {who}."
        )


def _caveats(
    keyring: Keyring, history: History, cosignatures: tuple[Cosignature, ...]
) -> Iterator[str]:
    if not keyring.pinned:
        yield (
            "That the key belongs to whom you think: compare its fingerprint with one that you "
            "got another way, and give the key with --key."
        )
    if cosignatures:
        yield "That the witnesses are honest, and nobody's but their own."
    elif history.saved is None:
        yield (
            "That the log shows this same history to everybody and for ever: keep its checkpoint "
            "with --checkpoint, to be told if it does not, or ask for witnesses with --witness."
        )
