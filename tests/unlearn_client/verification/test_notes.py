"""Notes, verifier keys and checkpoints: the specifications' examples, and what is no grammar."""

from base64 import b64decode

import pytest

from tests.unlearn_client.verification.logs import ORIGIN, Key, SignedLog, b64
from unlearn_client.errors import VerificationError
from unlearn_client.verification import read_checkpoint
from unlearn_client.verification.keys import PublicKey, read_verifier_key

# C2SP signed-note.md, "Example".
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_TEXT = b"This is an example message.\n"
EXAMPLE_SIGNATURE = (
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
)

# C2SP tlog-checkpoint.md.
EXAMPLE_CHECKPOINT = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
""".encode()  # noqa: E501 - as it is published

KEY = Key(1)
ROOT = b64(bytes(32))
TEXT = f"{ORIGIN}\n7\n{ROOT}\n"


def test_the_example_note_is_signed_by_the_example_key():
    name, key = read_verifier_key(EXAMPLE_KEY)
    decoded = b64decode(EXAMPLE_SIGNATURE)
    assert name == "example.com/foo"
    assert key.note_id(name) == decoded[:4]
    assert key.signed(EXAMPLE_TEXT, decoded[4:])
    assert not key.signed(EXAMPLE_TEXT + b"!", decoded[4:])


def test_the_example_checkpoint():
    read = read_checkpoint(EXAMPLE_CHECKPOINT)
    assert (read.origin, read.size) == ("example.com/behind-the-sofa", 20852163)
    assert read.root.hex().startswith("0ac5186a91863e8e1d90c808014aa89b")
    assert [signature.name for signature in read.signatures] == [read.origin]


def test_a_checkpoint_is_signed_by_its_key_only():
    checkpoint = read_checkpoint(SignedLog(3).checkpoint())
    assert checkpoint.signed_by(PublicKey(KEY.raw))
    assert not checkpoint.signed_by(PublicKey(Key(2).raw))


def test_signatures_of_others_are_ignored():
    note = KEY.note(TEXT) + Key(2).signature_line(TEXT, "witness.example")
    note += f"— {ORIGIN} {b64(b'longer' * 40)}\n"  # same name, a key nobody knows
    assert read_checkpoint(note.encode()).signed_by(PublicKey(KEY.raw))


def test_a_signature_under_another_name_is_not_the_logs():
    note = f"{TEXT}\n{KEY.signature_line(TEXT, 'other.example')}"
    assert not read_checkpoint(note.encode()).signed_by(PublicKey(KEY.raw))


def test_a_signature_under_another_name_is_not_the_logs_whatever_its_id():
    signature = KEY.note_id(ORIGIN) + KEY.private.sign(TEXT.encode())
    note = f"{TEXT}\n— other.example {b64(signature)}\n"
    assert not read_checkpoint(note.encode()).signed_by(PublicKey(KEY.raw))


@pytest.mark.parametrize("der", [KEY.der + b"x", KEY.der[:-1], b"x" + KEY.der[1:], b""])
def test_what_is_no_key_in_der(der):
    with pytest.raises(VerificationError):
        PublicKey.from_der(der)


@pytest.mark.parametrize("old", ["7", ROOT, ORIGIN])
def test_an_altered_checkpoint_is_refused_even_if_another_signature_fits(old):
    new = {"7": "8", ROOT: b64(b"\1" * 32), ORIGIN: ORIGIN}[old]
    altered = TEXT.replace(old, new) + ("extension\n" if old == ORIGIN else "")
    fitting, stale = KEY.signature_line(altered), KEY.signature_line(TEXT)
    with pytest.raises(VerificationError, match="altered"):
        read_checkpoint(f"{altered}\n{fitting}{stale}".encode()).signed_by(PublicKey(KEY.raw))


def test_a_truncated_signature_is_refused():
    line = f"— {ORIGIN} {b64(KEY.note_id(ORIGIN) + bytes(63))}\n"
    with pytest.raises(VerificationError, match="altered"):
        read_checkpoint(f"{TEXT}\n{line}".encode()).signed_by(PublicKey(KEY.raw))


GOOD = KEY.note(TEXT)


@pytest.mark.parametrize(
    "note",
    {
        "empty": "",
        "no signature": TEXT,
        "no signature line": TEXT + "\n",
        "no newline at the end": GOOD[:-1],
        "carriage returns": GOOD.replace("\n", "\r\n"),
        "a tab": GOOD.replace(f"{ROOT}\n", f"{ROOT}\nan\textension\n"),
        "a null": GOOD.replace(f"{ROOT}\n", f"{ROOT}\n\0\n"),
        "an escape sequence": GOOD.replace(ORIGIN, "\x1b[2J", 1),
        "an origin that turns the text around": GOOD.replace(ORIGIN, "a\u202eb", 1),
        "no origin": GOOD.replace(f"{ORIGIN}\n7", "\n7"),
        "two lines": GOOD.replace(f"7\n{ROOT}", "7"),
        "an empty extension line": GOOD.replace(f"{ROOT}\n", f"{ROOT}\n\n"),
        "a size with a zero in front": GOOD.replace("\n7\n", "\n07\n"),
        "a negative size": GOOD.replace("\n7\n", "\n-7\n"),
        "a size with a plus": GOOD.replace("\n7\n", "\n+7\n"),
        "a size in other digits": GOOD.replace("\n7\n", "\n\u0667\n"),
        "a size of 2^63": GOOD.replace("\n7\n", f"\n{2**63}\n"),
        "a root that is too short": GOOD.replace(ROOT, b64(bytes(31))),
        "a root that is too long": GOOD.replace(ROOT, b64(bytes(33))),
        "a root not padded": GOOD.replace(ROOT, ROOT[:-1]),
        "a root with spare bits": GOOD.replace(ROOT, ROOT[:-2] + "B="),
        "a root in the URL alphabet": GOOD.replace(ROOT, "_" + ROOT[1:]),
        "a root with a space": GOOD.replace(ROOT, f"{ROOT} "),
        "an empty log with a root": GOOD.replace("\n7\n", "\n0\n"),
        "a hyphen instead of a dash": GOOD.replace("—", "-"),
        "a signature without a name": GOOD.replace(f"— {ORIGIN} ", "— "),
        "a key name with a plus": GOOD.replace(f"— {ORIGIN} ", "— a+b "),
        "a signature of four bytes": f"{TEXT}\n— {ORIGIN} {b64(bytes(4))}\n",
        "a line after the signatures": GOOD + "more\n",
        "too many signatures": GOOD + KEY.signature_line(TEXT) * 64,
        "too large": GOOD.replace(f"{ROOT}\n", f"{ROOT}\n{'x' * 2**17}\n"),
    }.items(),
    ids=lambda item: item[0],
)
def test_what_is_no_checkpoint(note):
    assert note[1] != GOOD
    with pytest.raises(VerificationError):
        read_checkpoint(note[1].encode())


def test_a_checkpoint_that_is_no_utf8():
    with pytest.raises(VerificationError, match="UTF-8"):
        read_checkpoint(b"\xff" + GOOD.encode())


NAME, KEY_ID, MATERIAL = KEY.verifier_key().split("+", 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        NAME,
        f"{NAME}+{KEY_ID}",
        f"+{KEY_ID}+{MATERIAL}",
        f"other.example+{KEY_ID}+{MATERIAL}",
        f"{NAME}+{KEY_ID.upper()}x+{MATERIAL}",
        f"{NAME}+00000000+{MATERIAL}",
        f"{NAME}+{KEY_ID}+{MATERIAL[:-4]}",
        f"{NAME}+{KEY_ID}+{b64(bytes([2]) + KEY.raw)}",
        f"{NAME}+{KEY_ID}+{MATERIAL}\n",
        f"a b+{KEY.note_id('a b').hex()}+{MATERIAL}",
    ],
)
def test_what_is_no_verifier_key(text):
    with pytest.raises(VerificationError):
        read_verifier_key(text)
