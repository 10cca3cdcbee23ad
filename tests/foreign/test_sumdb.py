"""Go's golang.org/x/mod/sumdb accepts our notes, proofs and tiles, and nothing else."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.foreign import verifiers
from tests.golden.trees import Tree
from unlearn_client.witness import WitnessKey
from unlearn_server.log.notes import Ed25519NoteSigner, checkpoint
from unlearn_server.log.tiles import entry_bundles, hash_tiles

GOLDEN = Path(__file__).parents[1] / "golden"
SIGNERS = [
    Ed25519NoteSigner(f"{name}.example", Ed25519PrivateKey.generate())
    for name in ("log", "first-witness", "second-witness")
]
LOGS = ["seven", "many", "rotated"]
Case = dict[str, Any]


def accepts(cases: list[Case]) -> None:
    assert verifiers.sumdb(cases) == [None] * len(cases)


def refuses(cases: list[Case]) -> None:
    assert cases
    assert None not in verifiers.sumdb(cases)


def changes(content: bytes) -> Iterator[bytes]:
    """The bytes with one bit changed, in every place."""
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        yield bytes(changed)


def newest_key(log: str) -> str:
    key: str = json.loads((GOLDEN / log / "keys.json").read_text())["keys"][-1]["verifierKey"]
    return key


def note(text: bytes, verifier_keys: list[str]) -> Case:
    return {"checkpoint": {"note": text, "verifierKeys": verifier_keys}}


def test_checkpoints_with_one_signature_and_with_several() -> None:
    names = [str(signer.verifier_key) for signer in SIGNERS]
    texts = [checkpoint(5, bytes(32), *SIGNERS[: i + 1]).encode() for i in range(3)]
    accepts([note(text, names[: i + 1]) for i, text in enumerate(texts)])
    [other] = [str(Ed25519NoteSigner("log.example", Ed25519PrivateKey.generate()).verifier_key)]
    refuses([note(texts[0], [other]), note(texts[0], names[:2]), note(texts[0], names[1:2])])


def test_checkpoints_that_witnesses_cosigned_by_a_type_that_go_does_not_know() -> None:
    signed = checkpoint(5, bytes(32), SIGNERS[0])
    witness = WitnessKey("first-witness.example", Ed25519PrivateKey.generate())
    text = f"{signed.partition(chr(10) * 2)[0]}\n".encode()
    cosigned = f"{signed}{witness.cosign(text, 1_700_000_000)}".encode()
    log, other = (str(signer.verifier_key) for signer in SIGNERS[:2])
    told = {"note": cosigned, "verifierKeys": [log], "unknown": 1}
    accepts([{"checkpoint": told}])
    wrong = {"verifierKeys": [other]}, {"note": cosigned.replace(b"\n5\n", b"\n6\n")}
    refuses([{"checkpoint": told | each} for each in wrong])


def test_checkpoints_of_which_a_byte_was_changed() -> None:
    text, line = (GOLDEN / "seven" / "checkpoint").read_bytes().split(b"\n\n")
    head, sealed = line.rstrip().rsplit(b" ", 1)
    texts = [b"%b\n\n%b" % (changed, line) for changed in changes(text)]
    lines = (
        b"%b %b\n" % (head, base64.b64encode(changed))
        for changed in changes(base64.b64decode(sealed))
    )
    texts += [b"%b\n\n%b" % (text, line) for line in lines]
    refuses([note(changed, [newest_key("seven")]) for changed in texts])


def proof(kind: str, told: dict[str, Any], **changed: Any) -> Case:
    """A case of a proof in proofs.json, whose bytes are in hex."""
    case = {
        name: bytes.fromhex(value) if isinstance(value, str) else value
        for name, value in told.items()
        if name != "path"
    }
    case["path"] = [bytes.fromhex(node) for node in told["path"]]
    return {kind: case | changed}


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_golden_proofs(log: str, kind: str) -> None:
    told = json.loads((GOLDEN / log / "proofs.json").read_text())[kind]
    accepts([proof(kind, each) for each in told])


@pytest.mark.parametrize("size", [*range(1, 18), 255, 256, 257, 1000])
def test_every_proof_of_a_small_tree_and_some_of_larger_ones(size: int) -> None:
    tree, step = Tree([b"leaf %d" % i for i in range(size)]), 1 if size < 18 else 31
    cases: list[Case] = []
    for index in range(0, size, step):
        leaf, old = {"leafHash": tree.stored[0, index], "root": tree.root(size)}, index + 1
        path = tree.inclusion(index, size)
        cases.append({"inclusion": {"index": index, "size": size, "path": path, **leaf}})
        roots = {"oldRoot": tree.root(old), "newRoot": tree.root(size)}
        path = tree.consistency(old, size)
        cases.append({"consistency": {"old": old, "new": size, "path": path, **roots}})
    accepts(cases)


def test_inclusion_proofs_in_which_something_was_changed() -> None:
    told = json.loads((GOLDEN / "many" / "proofs.json").read_text())["inclusion"][-3]
    path = [bytes.fromhex(node) for node in told["path"]]
    cases = [proof("inclusion", told, index=i) for i in range(300) if i != told["index"]]
    for name in ("root", "leafHash"):
        whole = bytes.fromhex(told[name])
        cases += [proof("inclusion", told, **{name: changed}) for changed in changes(whole)]
    for i, node in enumerate(path):
        for changed in changes(node):
            cases.append(proof("inclusion", told, path=[*path[:i], changed, *path[i + 1 :]]))
    cases += [proof("inclusion", told, path=other) for other in (path[1:], [*path, path[0]])]
    refuses(cases)


def test_consistency_proofs_in_which_something_was_changed() -> None:
    all_of_them = json.loads((GOLDEN / "many" / "proofs.json").read_text())["consistency"]
    [told] = [each for each in all_of_them if (each["old"], each["new"]) == (257, 300)]
    path = [bytes.fromhex(node) for node in told["path"]]
    cases = [proof("consistency", told, old=256), proof("consistency", told, old=258)]
    for name in ("oldRoot", "newRoot"):
        whole = bytes.fromhex(told[name])
        cases += [proof("consistency", told, **{name: changed}) for changed in changes(whole)]
    for i, node in enumerate(path):
        for changed in changes(node):
            cases.append(proof("consistency", told, path=[*path[:i], changed, *path[i + 1 :]]))
    refuses(cases)


def published(log: str) -> Case:
    """A golden log's checkpoint, tiles and bundles, and its leaves by an own reading."""
    folder = GOLDEN / log
    paths = [folder / "checkpoint", *(path for path in folder.glob("tile/**/*") if path.is_file())]
    files = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    leaves = []
    for path in sorted(path for path in files if path.startswith("tile/entries/")):
        rest = files[path]
        while rest:
            length = int.from_bytes(rest[:2])
            leaves.append(rest[2 : 2 + length])
            rest = rest[2 + length :]
    return {"files": files, "leaves": leaves, "verifierKeys": [newest_key(log)]}


@pytest.mark.parametrize("log", LOGS)
def test_published_logs(log: str) -> None:
    accepts([{"log": published(log)}])


@pytest.mark.parametrize("log", LOGS)
def test_published_logs_of_which_a_byte_was_changed(log: str) -> None:
    told = published(log)
    cases = []
    for path, content in told["files"].items():
        # A change to the level above a full tile is seen by whoever reads that tile.
        for position in range(0, len(content), max(1, len(content) // 16)):
            if path == "checkpoint" and content[: position + 1].count(b"\n") > 3:
                continue
            changed = bytearray(content)
            changed[position] ^= 1
            cases.append({"log": {**told, "files": {**told["files"], path: bytes(changed)}}})
    refuses(cases)


@pytest.mark.parametrize("log", LOGS)
def test_offline_proofs_and_what_was_changed_in_them(log: str) -> None:
    folder, leaves = GOLDEN / log / "certificates", published(log)["leaves"]
    right, wrong = [], []
    for file in folder.glob("*.tlog-proof"):
        index = int(file.name.split(".")[0])
        text, verifier_keys = file.read_text(), [newest_key(log)]
        told = {"text": text, "leaf": leaves[index], "verifierKeys": verifier_keys}
        right.append({"proof": told})
        other_index = text.replace(f"index {index}\n", f"index {index ^ 1}\n")
        lines = text.split("\n")
        without_a_hash = "\n".join(lines[:2] + lines[3:])
        wrong += [{"proof": told | {"text": each}} for each in (other_index, without_a_hash)]
        wrong += [{"proof": told | {"leaf": leaf}} for leaf in changes(leaves[index])]
    accepts(right)
    refuses(wrong)


SIZES = [0, 1, 2, 255, 256, 257, 300, 511, 512, 65_535, 65_536, 65_537, 70_000, 256_001, 2**24]


@pytest.mark.parametrize("new", SIZES)
def test_a_growth_makes_the_tiles_that_go_makes(new: int) -> None:
    grown = [(max(new - back, 0), new) for back in (0, 1, 255, 256, 257, 300, 1000)]
    if new < 100_000:
        grown += [(old, new) for old in SIZES if old <= new]
    cases = [
        {
            "growth": {
                "old": old,
                "new": new,
                "paths": [each.path for each in hash_tiles(old, new) + entry_bundles(old, new)],
            }
        }
        for old, new in grown
    ]
    accepts(cases)
    cases[1]["growth"]["paths"] = [*cases[1]["growth"]["paths"], "tile/9/000"]
    refuses(cases[1:2])
