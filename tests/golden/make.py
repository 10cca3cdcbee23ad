"""Writes the golden files beside this file: ``python -m tests.golden.make``.

    NAME/keys.json              as a log publishes its keys
    NAME/checkpoint, tile/...   the log as it is published
    NAME/proofs.json            inclusion and consistency, hex
    NAME/certificates/I.*       what the holder of certificate I has: .dsse.json,
                                .sigstore.json, .tlog-proof
    openings.json               ids of the certificates' commitments, each opened alone

``seven`` is a log of seven certificates. ``many`` has 300 leaves, of which a few are
certificates and the rest are the text ``leaf I``. In ``rotated``, leaf 2 hands over to
another key, which signed certificate 3 and the checkpoint. Ed25519 signatures are a
function of key and text, so the files are the same each time.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.golden import statements
from tests.golden.trees import Tree
from unlearn_server.log import envelopes
from unlearn_server.log.bundles import bundle
from unlearn_server.log.entries import entry
from unlearn_server.log.envelopes import Envelope
from unlearn_server.log.notes import Ed25519NoteSigner, checkpoint
from unlearn_server.log.proofs import Inclusion
from unlearn_server.log.tiles import bundled, entry_bundles, hash_tiles

HERE = Path(__file__).parent
ORIGIN = "unlearn.example/log"
FIRST, SECOND = (Ed25519PrivateKey.from_private_bytes(bytes([i]) * 32) for i in (1, 2))
Files = dict[str, bytes]


class GoldenLog:
    """A log under one key after another, and the envelopes of those leaves that have one."""

    def __init__(self) -> None:
        self.leaves: list[bytes] = []
        self.envelopes: dict[int, Envelope] = {}
        self.key = FIRST
        self.keys = [published_key(FIRST, 0, None)]

    def add(self, leaf: bytes) -> None:
        self.leaves.append(leaf)

    def certify(self, statement: Callable[[str, int], dict[str, Any]]) -> Envelope:
        index = len(self.leaves)
        envelope = envelopes.sign(statement(ORIGIN, index), envelopes.signer(self.key))
        self.envelopes[index] = envelope
        self.add(entry(envelope, self.key.public_key()))
        return envelope

    def rotate(self, following: Ed25519PrivateKey) -> None:
        keys = self.key.public_key(), following.public_key()
        endorsement = self.certify(lambda *place: statements.rotation(*place, *keys))
        self.key = following
        self.keys.append(published_key(following, len(self.leaves), endorsement.to_dict()))

    def files(self, proven: Sequence[int], sizes: Sequence[int]) -> Iterator[tuple[str, bytes]]:
        size, tree = len(self.leaves), Tree(self.leaves)
        signer = Ed25519NoteSigner(ORIGIN, self.key)
        head = checkpoint(size, tree.root(size), signer)
        yield "checkpoint", head.encode()
        yield "keys.json", dumped({"origin": ORIGIN, "keys": self.keys})
        for tile in hash_tiles(0, size):
            yield tile.path, tile.content(tree.nodes)
        for each in entry_bundles(0, size):
            yield each.path, bundled([self.leaves[i] for i in each.leaves])
        for index, envelope in self.envelopes.items():
            path = tree.inclusion(index, size)
            inclusion = Inclusion(index, path, size, tree.root(size), head)
            name = f"certificates/{index}"
            sealed = bundle(envelope, self.leaves[index], inclusion, signer.verifier_key)
            yield f"{name}.dsse.json", envelopes.to_json(envelope)
            yield f"{name}.sigstore.json", sealed
            yield f"{name}.tlog-proof", str(inclusion).encode()
        yield "proofs.json", dumped(proofs(tree, proven, sizes))


def proofs(tree: Tree, indices: Sequence[int], sizes: Sequence[int]) -> dict[str, Any]:
    inclusion = [
        {
            "index": index,
            "size": size,
            "leafHash": tree.stored[0, index].hex(),
            "path": [node.hex() for node in tree.inclusion(index, size)],
            "root": tree.root(size).hex(),
        }
        for size in sizes
        for index in indices
        if index < size
    ]
    consistency = [
        {
            "old": old,
            "new": new,
            "oldRoot": tree.root(old).hex(),
            "path": [node.hex() for node in tree.consistency(old, new)],
            "newRoot": tree.root(new).hex(),
        }
        for new in sizes
        for old in sizes
        if old <= new
    ]
    return {"inclusion": inclusion, "consistency": consistency}


def published_key(
    key: Ed25519PrivateKey, first: int, endorsement: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "publicKey": statements.pem(key.public_key()),
        "verifierKey": str(Ed25519NoteSigner(ORIGIN, key).verifier_key),
        "firstIndex": first,
        "endorsement": endorsement,
    }


def dumped(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def golden_logs() -> dict[str, Files]:
    """The files of each log, by their paths in its folder."""
    seven, many, rotated = GoldenLog(), GoldenLog(), GoldenLog()
    for _ in range(7):
        seven.certify(statements.certificate)
    for index in range(300):
        if index in {0, 100, 255, 256, 299}:
            many.certify(statements.certificate)
        else:
            many.add(b"leaf %d" % index)
    rotated.certify(statements.certificate)
    rotated.certify(statements.certificate)
    rotated.rotate(SECOND)
    rotated.certify(statements.certificate)
    return {
        "seven": dict(seven.files(range(7), range(1, 8))),
        "many": dict(many.files([0, 100, 255, 256, 299], [1, 128, 255, 256, 257, 300])),
        "rotated": dict(rotated.files(range(4), [4])),
    }


def golden_files() -> Files:
    """All of them, by their paths in this folder."""
    _, subjects = statements.commit("subject", statements.SUBJECTS)
    _, samples = statements.commit("sample", statements.SAMPLES)
    files = {"openings.json": dumped(subjects + samples)}
    for name, log in golden_logs().items():
        files |= {f"{name}/{path}": content for path, content in log.items()}
    return files


if __name__ == "__main__":
    for name, content in golden_files().items():
        path = HERE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
