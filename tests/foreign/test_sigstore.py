"""``@sigstore/verify`` accepts our bundles, and nothing that was changed in one."""

import base64
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.foreign import verifiers

GOLDEN = Path(__file__).parents[1] / "golden"
Bundle = dict[str, Any]


def keys(log: str) -> Any:
    return json.loads((GOLDEN / log / "keys.json").read_text())


def bundles(log: str) -> list[Bundle]:
    files = sorted((GOLDEN / log / "certificates").glob("*.sigstore.json"))
    return [json.loads(file.read_text()) for file in files]


@pytest.mark.parametrize("log", ["seven", "many", "rotated"])
def test_accepts_every_golden_bundle(log: str) -> None:
    all_of_them = bundles(log)
    assert verifiers.sigstore(keys(log), all_of_them) == [None] * len(all_of_them)


def entry(bundle: Bundle) -> Any:
    return bundle["verificationMaterial"]["tlogEntries"][0]


PARTS: dict[str, Callable[[Bundle], tuple[Any, Any]]] = {
    "payload": lambda bundle: (bundle["dsseEnvelope"], "payload"),
    "signature": lambda bundle: (bundle["dsseEnvelope"]["signatures"][0], "sig"),
    "leaf": lambda bundle: (entry(bundle), "canonicalizedBody"),
    "first hash": lambda bundle: (entry(bundle)["inclusionProof"]["hashes"], 0),
    "last hash": lambda bundle: (entry(bundle)["inclusionProof"]["hashes"], -1),
}


def flipped(bundle: Bundle, part: str) -> Iterator[Bundle]:
    """The bundle with one bit of a part changed, in every byte of it."""
    holder, place = PARTS[part](bundle)
    content = base64.b64decode(holder[place])
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        copy = deepcopy(bundle)
        holder, place = PARTS[part](copy)
        holder[place] = base64.b64encode(changed).decode()
        yield copy


@pytest.mark.parametrize("part", PARTS)
def test_refuses_a_changed_byte(part: str) -> None:
    changed = list(flipped(bundles("many")[0], part))
    assert None not in verifiers.sigstore(keys("many"), changed)


def with_checkpoint(bundle: Bundle, old: str, new: str) -> Bundle:
    copy = deepcopy(bundle)
    proof = entry(copy)["inclusionProof"]
    checkpoint = proof["checkpoint"]["envelope"]
    assert old in checkpoint
    proof["checkpoint"]["envelope"] = checkpoint.replace(old, new, 1)
    return copy


def test_refuses_another_index_root_size_origin_and_key() -> None:
    bundle = bundles("many")[0]
    moved, unhinted = deepcopy(bundle), deepcopy(bundle)
    entry(moved)["inclusionProof"]["logIndex"] = "1"
    unhinted["verificationMaterial"]["publicKey"]["hint"] = "00"
    root = entry(bundle)["inclusionProof"]["rootHash"]
    changed = [
        moved,
        unhinted,
        with_checkpoint(bundle, root, base64.b64encode(bytes(32)).decode()),
        with_checkpoint(bundle, "\n300\n", "\n299\n"),
        with_checkpoint(bundle, "unlearn.example", "another.example"),
    ]
    assert None not in verifiers.sigstore(keys("many"), changed)


def test_refuses_under_another_key_than_that_of_the_certificates_time() -> None:
    published = keys("rotated")
    for key, accepted in zip(published["keys"], [[], [3]], strict=True):
        alone = {**published, "keys": [key]}
        reasons = verifiers.sigstore(alone, bundles("rotated"))
        assert [index for index, reason in enumerate(reasons) if reason is None] == accepted
