"""Which keys are believed, for which entries: a trusted key and those that it endorsed.

A log changes its key by an entry of its own: a statement signed by the old key that
names the new one. Entries up to that one are the old key's, later ones the new key's.
``keys.json`` lists the keys with those statements, oldest first; nothing in it is
believed but what a key trusted already has signed, so where a key's time begins is
taken from its endorsement.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unlearn_client.errors import VerificationError
from unlearn_client.verification.encoding import json_object, utf8
from unlearn_client.verification.envelopes import read_envelope
from unlearn_client.verification.keys import PublicKey, read_verifier_key
from unlearn_client.verification.members import Members
from unlearn_client.verification.notes import Checkpoint

MAX_KEYS_BYTES = 2**20
MAX_KEY_BYTES = 4096
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
ROTATION_TYPE = "urn:unlearn:key-rotation:v1"


@dataclass(frozen=True)
class LogKey:
    """A key and what it may sign.

    Attributes:
        key: the key.
        origin: the only log that it is trusted for; empty: not known.
        first: index of the first entry that is its own.
        last: index of the entry in which it hands over; None: it has not.
    """

    key: PublicKey
    origin: str = ""
    first: int = 0
    last: int | None = None

    def may_sign_entry(self, index: int) -> bool:
        """Is an entry at this index of its time?"""
        return self.first <= index and (self.last is None or index <= self.last)

    def may_sign_size(self, size: int) -> bool:
        """Is a checkpoint of this size of its time? The next key may sign old sizes too."""
        return self.last is None or size <= self.last + 1


@dataclass(frozen=True)
class Keyring:
    """Keys to verify with.

    Attributes:
        keys: at least one.
        pinned: did the user say whom to trust? If not, they are the certificates' own.
    """

    keys: tuple[LogKey, ...]
    pinned: bool

    def key(self, key_id: str) -> LogKey:
        """The key with this fingerprint.

        Raises:
            VerificationError: it is not among them.
        """
        for known in self.keys:
            if known.key.fingerprint == key_id:
                return known
        if self.pinned:
            raise VerificationError(f"it is signed by {key_id}, which is no key that you trust")
        raise VerificationError(
            f"its key, {key_id}, is in none of the files: give --key, or the bundle too"
        )

    def verify_checkpoint(self, checkpoint: Checkpoint) -> LogKey:
        """The key that signed it.

        Raises:
            VerificationError: none did, it was altered, or the key had handed over by then.
        """
        of_origin = [k for k in self.keys if k.origin in ("", checkpoint.origin)]
        if self.keys and not of_origin:
            wanted = ", ".join(sorted({key.origin for key in self.keys}))
            raise VerificationError(
                f"the checkpoint is of another log: {checkpoint.origin} instead of {wanted}"
            )
        signers = [known for known in of_origin if checkpoint.signed_by(known.key)]
        if not signers:
            raise VerificationError(
                "the checkpoint is signed by none of the known keys: if the log has changed "
                "its key, give its keys.json as --key, or --log"
            )
        in_time = [known for known in signers if known.may_sign_size(checkpoint.size)]
        if not in_time:
            raise VerificationError("the checkpoint is signed by a key after it handed over")
        return in_time[-1]

    def extended(self, keys_json: bytes) -> "Keyring":
        """With the keys that these ones endorsed, as far as the document shows it.

        Raises:
            VerificationError: the document is malformed, or holds an endorsement that is not.
        """
        listed = _Listing.read(keys_json)
        keys = {known.key: known for known in self.keys if known.key not in listed.keys}
        for known in self.keys:
            if known.key not in keys:  # else one before endorsed it; one after overwrites it
                keys |= {later.key: later for later in listed.after(known)}
        return Keyring(tuple(keys.values()), self.pinned)

    def check_common_owner(self) -> None:
        """Keys that nobody vouched for must at least vouch for each other.

        Raises:
            VerificationError: there are several that were not endorsed.
        """
        if not self.pinned and sum(known.first == 0 for known in self.keys) > 1:
            raise VerificationError(
                "the certificates name several keys, none of which endorsed another: give "
                "keys.json as --key, or --log, or verify them one at a time"
            )


def read_trusted(data: bytes) -> Keyring:
    """A keyring from what ``--key`` names: PEM, a verifier key, or a ``keys.json``.

    Of a ``keys.json`` the first key is trusted, and the others as it endorsed them.

    Raises:
        VerificationError: it is none of them.
    """
    start = data.lstrip()[:1]
    if start == b"{":
        listed = _Listing.read(data)
        return Keyring(tuple(listed.after(LogKey(listed.keys[0], listed.origin))), pinned=True)
    text = utf8(data, "the key", MAX_KEY_BYTES).strip()
    if text.startswith("-----BEGIN"):
        return Keyring((LogKey(PublicKey.from_pem(text.encode())),), pinned=True)
    name, key = read_verifier_key(text)
    return Keyring((LogKey(key, name),), pinned=True)


@dataclass(frozen=True)
class _Listing:
    """What a keys.json says.

    Attributes:
        origin: of the log.
        keys: oldest first, at least one, none twice.
        endorsements: of each key by the one before; None for the first.
    """

    origin: str
    keys: Sequence[PublicKey]
    endorsements: Sequence[Any]

    @classmethod
    def read(cls, data: bytes) -> "_Listing":
        document = Members(json_object(data, "keys.json", MAX_KEYS_BYTES), "keys.json")
        origin = document.text("origin")
        rows = [Members(row, "a key of keys.json") for row in document.objects("keys")]
        keys = [_listed_key(row, origin) for row in rows]
        if not keys or len(set(keys)) != len(keys):
            raise VerificationError("keys.json lists no key, or one twice")
        return cls(origin, keys, [row.get("endorsement") for row in rows])

    def after(self, known: LogKey) -> Iterator[LogKey]:
        """The key, if it is listed, and those that follow from it."""
        if known.key not in self.keys:
            return
        if known.origin not in ("", self.origin):
            raise VerificationError(f"keys.json is of another log, {self.origin}")
        current = replace(known, origin=self.origin)
        start = self.keys.index(known.key) + 1
        for key, endorsement in zip(self.keys[start:], self.endorsements[start:], strict=True):
            index = _rotation(endorsement, current, key)
            yield replace(current, last=index)
            current = LogKey(key, self.origin, first=index + 1)
        yield current


def _listed_key(row: Members, origin: str) -> PublicKey:
    key = PublicKey.from_pem(row.lines("publicKey").encode())
    if read_verifier_key(row.text("verifierKey")) != (origin, key):
        raise VerificationError("keys.json gives a verifier key that is not the public key's")
    return key


def _rotation(endorsement: Any, old: LogKey, new: PublicKey) -> int:
    """The index of the entry in which the old key handed over to the new one."""
    if not isinstance(endorsement, dict):
        raise VerificationError("keys.json holds a key that no other endorsed")
    envelope = read_envelope(endorsement)
    if not envelope.signed_by(old.key):
        raise VerificationError("keys.json holds a key that the one before did not endorse")
    document = json_object(envelope.payload, "the endorsement", MAX_KEYS_BYTES)
    statement = Members(document, "the endorsement")
    index = statement.count("predicate.index")
    said = (
        statement.get("_type"),
        statement.get("predicateType"),
        statement.get("predicate.origin"),
        PublicKey.from_pem(statement.lines("predicate.previousKey").encode()),
        PublicKey.from_pem(statement.lines("predicate.nextKey").encode()),
    )
    if said != (STATEMENT_TYPE, ROTATION_TYPE, old.origin, old.key, new) or index < old.first:
        raise VerificationError("keys.json holds an endorsement of something else")
    return index
