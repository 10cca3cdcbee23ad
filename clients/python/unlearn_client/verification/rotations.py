"""What the statement of a changed key claims: the next one signs the log from here on."""

from collections.abc import Iterator

from unlearn_client.errors import VerificationError
from unlearn_client.verification.keyrings import ROTATION_TYPE
from unlearn_client.verification.keys import PublicKey
from unlearn_client.verification.members import Members

TYPE = ROTATION_TYPE
SUMMARY = ("Changed key",)
LOG = "predicate"
NOT_COVERED = None


def check_subject(members: Members) -> None:
    """The log and the key that the statement is about must be those it tells of."""
    told = (members.text("predicate.origin"), {"sha256": _key(members, "nextKey")})
    if [(each.get("name"), each.get("digest")) for each in members.objects("subject")] != [told]:
        raise VerificationError("the statement's subject is not the key it tells of")


def claims(members: Members) -> Iterator[tuple[str, str]]:
    """In plain words: (what, words)."""
    previous, following = _key(members, "previousKey"), _key(members, "nextKey")
    yield "Changed key", f"{following} signs the log from here on, in the place of {previous}"


def _key(members: Members, name: str) -> str:
    return PublicKey.from_pem(members.lines(f"predicate.{name}").encode()).fingerprint
