import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.golden.trees import Tree
from tests.unlearn_server.log import rfc9162
from unlearn_server.log.tiles import EntryBundle, HashTile, bundled, entry_bundles, hash_tiles

LEAVES = [b"leaf %d" % index for index in range(70_000)]
TREE = Tree(LEAVES)


def published(old: int, new: int) -> dict[str, bytes]:
    """The files that a growth touches."""
    files = {tile.path: tile.content(TREE.nodes) for tile in hash_tiles(old, new)}
    for bundle in entry_bundles(old, new):
        files[bundle.path] = bundled([LEAVES[i] for i in bundle.leaves])
    return files


# The first is the example of c2sp.org/tlog-tiles; the rest follow from its text.
@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (HashTile(0, 1234067, 256), "tile/0/x001/x234/067"),
        (HashTile(0, 0, 256), "tile/0/000"),
        (HashTile(2, 999, 17), "tile/2/999.p/17"),
        (HashTile(0, 1000, 1), "tile/0/x001/000.p/1"),
        (HashTile(63, 1_000_000, 255), "tile/63/x001/x000/000.p/255"),
        (EntryBundle(67, 112), "tile/entries/067.p/112"),
        (EntryBundle(1067, 256), "tile/entries/x001/067"),
    ],
)
def test_paths(tile: HashTile | EntryBundle, path: str) -> None:
    assert tile.path == path


def test_a_tree_of_70000_has_the_tiles_of_the_specifications_example() -> None:
    widths = {level: [] for level in range(3)}
    for tile in hash_tiles(0, 70_000):
        widths[tile.level].append(tile.width)
    assert widths == {0: [256] * 273 + [112], 1: [256, 17], 2: [1]}


def test_a_tree_of_256_has_a_full_tile_and_one_hash_above_it() -> None:
    assert hash_tiles(0, 256) == [HashTile(0, 0, 256), HashTile(1, 0, 1)]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 70_000])
def test_no_growth_touches_nothing(size: int) -> None:
    assert hash_tiles(size, size) == []
    assert entry_bundles(size, size) == []


@given(st.integers(0, len(LEAVES)), st.integers(0, 1000))
def test_a_growth_touches_what_the_new_log_has_and_the_old_has_not(old: int, more: int) -> None:
    new = min(old + more, len(LEAVES))
    assert hash_tiles(old, new) == [
        tile for tile in hash_tiles(0, new) if tile not in set(hash_tiles(0, old))
    ]
    assert entry_bundles(old, new) == [
        bundle for bundle in entry_bundles(0, new) if bundle not in set(entry_bundles(0, old))
    ]


@given(st.integers(1, 3000))
def test_tiles_hold_the_hashes_that_the_specification_says(size: int) -> None:
    for tile in hash_tiles(0, size):
        content = tile.content(TREE.nodes)
        span = 256**tile.level
        first = tile.index * 256
        assert content == b"".join(
            rfc9162.tree_hash(LEAVES[i * span : (i + 1) * span])
            for i in range(first, first + tile.width)
        )


@given(st.integers(1, len(LEAVES)))
def test_tiles_alone_recombine_into_the_root(size: int) -> None:
    levels: dict[int, bytes] = {}
    for tile in hash_tiles(0, size):
        levels[tile.level] = levels.get(tile.level, b"") + tile.content(TREE.nodes)

    def range_hash(start: int, end: int) -> bytes:
        for level in reversed(range(len(levels))):
            span = 256**level
            if end - start == span and start % span == 0:
                return levels[level][start // span * 32 :][:32]
        middle = start + rfc9162.split(end - start)
        return rfc9162.node_hash(range_hash(start, middle), range_hash(middle, end))

    assert range_hash(0, size) == TREE.root(size)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_a_log_published_step_by_step_has_all_files_of_one_published_at_once(
    steps: list[int],
) -> None:
    files, size = {}, 0
    for step in steps:
        files |= published(size, size + step)
        size += step
    at_once = published(0, size)
    assert {path: files[path] for path in at_once} == at_once
    assert all(".p/" in path for path in files.keys() - at_once.keys())


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_a_bundle_splits_into_its_leaves(leaves: list[bytes]) -> None:
    content, split = bundled(leaves), []
    while content:
        length = 256 * content[0] + content[1]
        split.append(content[2 : 2 + length])
        content = content[2 + length :]
    assert split == leaves


def test_a_bundle_takes_the_longest_leaf_that_its_length_can_say() -> None:
    assert bundled([bytes(65_535)])[:2] == b"\xff\xff"
    with pytest.raises(ValueError, match=r"^leaf: is longer than 65,535 bytes"):
        bundled([b"", bytes(65_536)])
