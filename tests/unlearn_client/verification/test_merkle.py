"""Trees against published values, and against the RFC's definitions word for word."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unlearn_client.verification.logs import audit_path, consistency, mth, tiles
from unlearn_client.errors import VerificationError
from unlearn_client.verification import Log, open_log
from unlearn_client.verification.merkle import (
    EMPTY_ROOT,
    leaf_hash,
    node_hash,
    tree_hash,
    verify_consistency,
    verify_inclusion,
)

# Published by certificate-transparency, and by transparency-dev/merkle (testonly/constants.go).
LEAVES = [
    bytes.fromhex(leaf) for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")
] + [bytes(range(0x60, 0x70))]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
PROOFS = {
    (1, 1): [],
    (1, 8): PATHS[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}

SIZES = st.integers(1, 40)


def hexes(*texts: str) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def some_leaves(size: int) -> list[bytes]:
    return [bytes([number % 256]) * (number // 256 + 1) for number in range(size)]


def log_of(leaves: list[bytes]) -> Log:
    held = tiles(leaves)
    return Log(lambda path, _: held.get(path))


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots(size):
    assert tree_hash(LEAVES[:size]) == mth(LEAVES[:size]) == bytes.fromhex(ROOTS[size])


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_the_published_inclusion_proofs(index, size):
    root = bytes.fromhex(ROOTS[size])
    verify_inclusion(leaf_hash(LEAVES[index]), index, size, hexes(*PATHS[index, size]), root)


@pytest.mark.parametrize(("first", "second"), PROOFS)
def test_the_published_consistency_proofs(first, second):
    proof = hexes(*PROOFS[first, second])
    roots = hexes(ROOTS[first], ROOTS[second])
    verify_consistency(first, second, proof, *roots)
    assert log_of(LEAVES[:second]).consistency_proof(first, second) == proof


@given(SIZES, st.data())
def test_a_leaf_is_included_where_it_is_and_nowhere_else(size, data):
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size + 1))
    leaves = some_leaves(size)
    path, root = audit_path(index, leaves), mth(leaves)
    verify_inclusion(leaf_hash(leaves[index]), index, size, path, root)
    if other != index:
        with pytest.raises(VerificationError):
            verify_inclusion(leaf_hash(leaves[index]), other, size, path, root)


def altered(draw, proof: list[bytes]) -> list[bytes]:
    """The proof with a hash changed, dropped, doubled or swapped with the next."""
    place = draw(st.integers(0, len(proof)))
    kind = draw(st.sampled_from(["insert", "drop", "flip", "swap"]))
    changed = list(proof)
    if kind == "insert":
        changed.insert(place, draw(st.sampled_from([*proof, bytes(32)])))
    elif kind == "drop":
        del changed[place : place + 1]
    elif kind == "flip" and place < len(proof):
        changed[place] = bytes([changed[place][0] ^ 1]) + changed[place][1:]
    else:
        changed[place : place + 2] = reversed(changed[place : place + 2])
    return changed


@given(SIZES, st.data())
def test_an_altered_inclusion_proof_is_refused(size, data):
    index, leaves = data.draw(st.integers(0, size - 1)), some_leaves(size)
    path = audit_path(index, leaves)
    if (changed := altered(data.draw, path)) != path:
        with pytest.raises(VerificationError):
            verify_inclusion(leaf_hash(leaves[index]), index, size, changed, mth(leaves))


@given(SIZES, st.data())
def test_an_altered_consistency_proof_is_refused(second, data):
    first, leaves = data.draw(st.integers(1, second)), some_leaves(second)
    proof, roots = consistency(first, leaves), (mth(leaves[:first]), mth(leaves))
    verify_consistency(first, second, proof, *roots)
    if (changed := altered(data.draw, proof)) != proof:
        with pytest.raises(VerificationError):
            verify_consistency(first, second, changed, *roots)


@given(SIZES, st.data())
def test_a_history_that_was_changed_is_refused(second, data):
    first, leaves = data.draw(st.integers(1, second)), some_leaves(second)
    forged = list(leaves)
    forged[data.draw(st.integers(0, first - 1))] += b"!"
    with pytest.raises(VerificationError, match="two histories"):
        verify_consistency(
            first, second, consistency(first, forged), mth(leaves[:first]), mth(forged)
        )


X = b"x" * 32
FOUR, EIGHT = LEAVES[:4], LEAVES


@pytest.mark.parametrize(
    ("size", "proof", "root"),
    {
        "too short for its size": (8, audit_path(0, FOUR), mth(FOUR)),
        "too long for its size": (4, audit_path(0, EIGHT), mth(EIGHT)),
        "a node above the root": (4, [*audit_path(0, FOUR), X], node_hash(X, mth(FOUR))),
    }.values(),
)
def test_an_inclusion_proof_leads_to_the_root_in_as_many_steps_as_the_size_says(size, proof, root):
    with pytest.raises(VerificationError):
        verify_inclusion(leaf_hash(LEAVES[0]), 0, size, proof, root)


@pytest.mark.parametrize(
    ("second", "proof", "roots"),
    {
        "too short for its size": (16, consistency(6, EIGHT), (mth(EIGHT[:6]), mth(EIGHT))),
        "nodes above the roots": (
            4,
            [*consistency(3, FOUR), X],
            (node_hash(X, mth(FOUR[:3])), node_hash(X, mth(FOUR))),
        ),
    }.values(),
)
def test_a_consistency_proof_leads_to_the_roots_in_as_many_steps_as_the_size_says(
    second, proof, roots
):
    with pytest.raises(VerificationError):
        verify_consistency(6 if second == 16 else 3, second, proof, *roots)


def test_every_log_begins_empty_and_no_other_root_is_that_of_an_empty_one():
    verify_consistency(0, 8, [], EMPTY_ROOT, bytes(32))
    verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    for proof, root in (([bytes(32)], EMPTY_ROOT), ([], bytes(32))):
        with pytest.raises(VerificationError):
            verify_consistency(0, 8, proof, root, bytes(32))


@pytest.mark.parametrize("second", [1, 2, 255, 256, 257, 300, 511, 512, 700])
def test_proofs_from_tiles_are_those_of_the_definition(second):
    leaves = some_leaves(second)
    log = log_of(leaves)
    for first in {0, 1, 2, 3, 128, 255, 256, 257, second - 1, second}:
        if first <= second:
            assert log.consistency_proof(first, second) == consistency(first, leaves)


def test_a_proof_from_a_log_of_three_levels_of_tiles():
    """Every node of a level is the same here, so that 70,000 leaves cost nothing."""
    size, level = 70_000, [leaf_hash(b"")]
    for _ in range(17):
        level.append(node_hash(level[-1], level[-1]))
    held = {
        "tile/0/272": level[0] * 256,
        "tile/0/273.p/112": level[0] * 112,
        "tile/1/000": level[8] * 256,
        "tile/1/001.p/17": level[8] * 17,
        "tile/2/000.p/1": level[16],
    }
    log = Log(lambda path, _: held.get(path))
    leaves = [b""] * size
    assert log.consistency_proof(65_536, size) == [mth(leaves[65_536:])]
    assert log.consistency_proof(69_888, size)[0] == mth(leaves[69_632:69_888])


def test_a_full_tile_stands_in_for_a_partial_one_that_was_dropped():
    leaves = some_leaves(300)
    held = tiles(leaves)
    log = Log(lambda path, _: held.get(path))
    assert log.consistency_proof(100, 200) == consistency(100, leaves[:200])


def test_missing_and_malformed_tiles_are_refused():
    with pytest.raises(VerificationError, match=r"no tile/0/000"):
        Log(lambda _path, _limit: None).consistency_proof(1, 3)
    for content in (b"", bytes(95), bytes(97)):
        with pytest.raises(VerificationError, match="not 3 hashes long"):
            Log(lambda _path, _limit, content=content: content).consistency_proof(1, 3)


def test_an_oversized_tile_is_not_read(tmp_path: Path):
    (tmp_path / "tile/0/000.p").mkdir(parents=True)
    (tmp_path / "tile/0/000.p/3").write_bytes(bytes(97))
    with pytest.raises(VerificationError, match="larger than 96 bytes"):
        open_log(str(tmp_path), 1).consistency_proof(1, 3)
