import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from unlearn_server.errors import StartupError
from unlearn_server.log.notes import (
    Ed25519NoteSigner,
    SignatureType,
    VerifierKey,
    checkpoint,
    signed,
)

LOG, WITNESS = (
    Ed25519NoteSigner(name, Ed25519PrivateKey.from_private_bytes(bytes([i]) * 32))
    for i, name in enumerate(["unlearn.example/log", "witness.example"])
)

# The example of c2sp.org/signed-note.
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE = """\
This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""  # noqa: E501


class OneSignature:
    """The signer of the specification's example, of which only one signature is known."""

    verifier_key = VerifierKey(
        "example.com/foo", SignatureType.ED25519, base64.b64decode(EXAMPLE_KEY.split("+", 2)[2])[1:]
    )

    def sign(self, text: bytes) -> bytes:
        assert text == b"This is an example message.\n"
        return base64.b64decode(EXAMPLE_NOTE.split()[-1])[4:]


def test_the_specifications_example_key_and_note() -> None:
    assert str(OneSignature.verifier_key) == EXAMPLE_KEY
    assert signed("This is an example message.\n", OneSignature()) == EXAMPLE_NOTE


def test_a_checkpoint_is_origin_size_and_root_and_a_line_for_each_signature() -> None:
    root = hashlib.sha256(b"root").digest()
    text, lines = checkpoint(17, root, LOG, WITNESS).split("\n\n")
    assert text == f"unlearn.example/log\n17\n{base64.b64encode(root).decode()}"
    for line, signer in zip(lines.splitlines(), [LOG, WITNESS], strict=True):
        dash, name, sealed = line.split(" ")
        assert dash == "—"
        assert name == signer.verifier_key.name
        signature = base64.b64decode(sealed, validate=True)
        assert signature[:4] == signer.verifier_key.id
        key = Ed25519PublicKey.from_public_bytes(signer.verifier_key.public_key)
        key.verify(signature[4:], f"{text}\n".encode())


def test_another_signature_leaves_a_note_and_its_first_line_as_they_were() -> None:
    alone, both = checkpoint(17, bytes(32), LOG), checkpoint(17, bytes(32), LOG, WITNESS)
    assert both.startswith(alone)


def test_a_log_is_told_apart_by_name_and_key() -> None:
    key = LOG.verifier_key
    others = [
        VerifierKey("another.example", key.type, key.public_key),
        WITNESS.verifier_key,
        VerifierKey(key.name, key.type, bytes(32)),
    ]
    assert len({each.digest for each in [key, *others]}) == 4
    assert all(each.id == each.digest[:4] and len(each.digest) == 32 for each in others)


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "a+b", "a\n", "\ta", "a\u00a0b", "a\u2003", "a\u2028", "a\x00", "a\x7f"],
)
def test_refuses_a_name_that_cannot_stand_in_a_note(name: str) -> None:
    with pytest.raises(StartupError, match=r"^origin: must be a name without spaces and \+"):
        VerifierKey(name, SignatureType.ED25519, bytes(32))


def test_names_may_be_in_any_script() -> None:
    assert str(VerifierKey("журнал.пример", SignatureType.ED25519, bytes(32))).startswith("журнал")
