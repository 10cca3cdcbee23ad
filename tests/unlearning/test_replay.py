"""Commitments replayed from a file, against Python's integers and their description."""

import base64
import hashlib
import hmac
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unlearning.objective import Noise, Objective
from unlearning.reference import rounded_solution
from unlearning.replay.command import main
from unlearning.replay.exports import Block, Export, Source, write
from unlearning.replay.recomputing import recompute

Make = Callable[..., Objective]
SALT = bytes(range(32))
CORE, USER = True, False

ROWS = [
    ([1, -2, 3], 0, USER),
    ([-7, 2**14, 0], 1, USER),
    ([5, 5, -(2**14)], 1, CORE),
    ([0, 9, 1], 0, USER),
    ([1, -2, 3], 0, USER),
]
"""Psi, class and kind; the first and the last are equal."""


def block_of(rows: list[Any]) -> Block:
    psi = np.array([psi for psi, _, _ in rows], np.int16).reshape(len(rows), -1)
    labels = np.array([label for _, label, _ in rows], np.int32)
    return Block(psi, labels, np.array([kind for _, _, kind in rows], np.bool_))


def int64(values: Any) -> bytes:
    return b"".join(struct.pack("<q", int(value)) for value in values)


def described(objective: Objective) -> bytes:
    values = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in objective.to_json().items()
    }
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).digest()


def digest_of_sums(objective: Objective, rows: list[Any]) -> bytes:
    """The ``rows_digest`` of a width that fits one leaf of G."""
    d, classes = objective.width, len(objective.classes)
    G = [[sum(psi[a] * psi[b] for psi, _, _ in rows) for b in range(d)] for a in range(d)]
    B = [
        sum(psi[a] * objective.label_scale for psi, label, _ in rows if label == c)
        for a in range(d)
        for c in range(classes)
    ]
    leaves = [[len(rows)], B, [G[a][b] for a in range(d) for b in range(a, d)]]
    return hashlib.sha256(
        b"".join(hashlib.sha256(int64(leaf)).digest() for leaf in leaves)
    ).digest()


def true_state(objective: Objective, rows: list[Any], salt: bytes = SALT) -> bytes:
    parts = (rows, [row for row in rows if row[2] is CORE])
    message = b"unlearn-state-v1\0" + described(objective)
    message += b"".join(digest_of_sums(objective, part) for part in parts)
    return hmac.new(salt, message, hashlib.sha256).digest()


def true_weights(objective: Objective, rows: list[Any], salt: bytes = SALT) -> bytes:
    t = [
        [objective.label_scale * (y == c) for c in range(len(objective.classes))]
        for _, y, _ in rows
    ]
    W = rounded_solution(block_of(rows).entries, np.array(t, np.int64), objective.ridge)
    message = b"unlearn-weights-v1\0" + described(objective) + int64(W.ravel())
    return hmac.new(salt, message, hashlib.sha256).digest()


def true_tangent_state(objective: Objective, rows: list[Any]) -> bytes:
    message = b"unlearn-tangent-state-v1\0" + described(objective)
    for part in (rows, [row for row in rows if row[2] is CORE]):
        digests = [
            hashlib.sha256(struct.pack(f"<iB{len(psi)}h", y, kind, *psi)).digest()
            for psi, y, kind in part
        ]
        message += struct.pack("<q", len(part)) + b"".join(sorted(digests))
    return hmac.new(SALT, message, hashlib.sha256).digest()


@pytest.fixture(scope="module")
def objective(objective_of: Make) -> Objective:
    return objective_of(3, ("Ärger", "cat"))


@pytest.fixture
def export(tmp_path: Path, objective: Objective) -> Callable[..., Path]:
    """Writes a file of rows."""

    def export(rows: list[Any], **changes: Any) -> Path:
        source = replace(Source("models/m", 2, SALT, objective), **changes)
        path = tmp_path / "export.npz"
        with path.open("wb") as file:
            write(file, source, len(rows), [block_of(rows)])
        return path

    return export


@pytest.fixture
def certificate(tmp_path: Path, objective: Objective) -> Callable[..., Path]:
    """Writes the certificate of these rows, as far as a replay reads it."""

    def certificate(rows: list[Any], as_bundle: bool = False, **release: Any) -> Path:
        predicate = {
            "erasure": "erasures/e",
            "model": {"digest": described(objective).hex()},
            "samples": {"erased": 1, "remaining": len(rows)},
            "release": {
                "after": "models/m/releases/2",
                "stateCommitment": true_state(objective, rows).hex(),
                "weightsCommitment": true_weights(objective, rows).hex(),
                **release,
            },
        }
        statement = {"predicateType": "urn:unlearn:erasure:v1", "predicate": predicate}
        return enveloped(tmp_path, statement, as_bundle)

    return certificate


def enveloped(tmp_path: Path, statement: Any, as_bundle: bool = False) -> Path:
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    envelope = {"payload": payload, "payloadType": "application/vnd.in-toto+json", "signatures": []}
    path = tmp_path / "certificate.json"
    path.write_text(json.dumps({"dsseEnvelope": envelope} if as_bundle else envelope))
    return path


def replay(export: Path, certificate: Path | None = None) -> Result:
    words = [str(export), *(["--certificate", str(certificate)] if certificate else [])]
    return CliRunner().invoke(main, words)


def test_commitments_are_those_of_pythons_integers(objective: Objective) -> None:
    found = recompute(objective, SALT, [block_of(ROWS)])
    assert found.state == true_state(objective, ROWS)
    assert found.weights == true_weights(objective, ROWS)


def test_no_rows_have_commitments_too(objective: Objective) -> None:
    found = recompute(objective, SALT, [])
    assert found.state == true_state(objective, [])
    zeros = b"unlearn-weights-v1\0" + described(objective) + bytes(8 * 3 * 2)
    assert found.weights == hmac.new(SALT, zeros, hashlib.sha256).digest()


@given(st.permutations(ROWS), st.lists(st.integers(0, len(ROWS)), max_size=3).map(sorted))
def test_neither_the_order_nor_the_blocks_matter(
    objective: Objective, rows: list[Any], cuts: list[int]
) -> None:
    ends = [0, *cuts, len(rows)]
    blocks = [block_of(rows[a:b]) for a, b in pairwise(ends) if b > a]
    assert recompute(objective, SALT, blocks) == recompute(objective, SALT, [block_of(ROWS)])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_other_rows_are_told_apart(objective: Objective, data: st.DataObject) -> None:
    i = data.draw(st.integers(0, len(ROWS) - 1))
    psi, label, kind = ROWS[i]
    a, delta = data.draw(st.integers(0, 2)), data.draw(st.sampled_from([-1, 1]))
    moved = [x + delta * (b == a) for b, x in enumerate(psi)]
    other = data.draw(
        st.sampled_from([[], [ROWS[i]] * 2, [(psi, 1 - label, kind)], [(moved, label, kind)]])
    )
    rows = [*ROWS[:i], *other, *ROWS[i + 1 :]]
    before, after = (recompute(objective, SALT, [block_of(some)]) for some in (ROWS, rows))
    assert before.state != after.state
    assert before.weights != after.weights


def test_a_row_of_another_kind_has_the_same_weights_and_another_state(objective: Objective) -> None:
    rows = [(psi, label, not kind) for psi, label, kind in ROWS[:1]] + ROWS[1:]
    before, after = (recompute(objective, SALT, [block_of(some)]) for some in (ROWS, rows))
    assert before.weights == after.weights
    assert before.state != after.state


@pytest.mark.parametrize("as_bundle", [False, True])
def test_equal_to_its_certificate(
    export: Callable[..., Path],
    certificate: Callable[..., Path],
    objective: Objective,
    as_bundle: bool,
) -> None:
    done = replay(export(ROWS), certificate(ROWS, as_bundle))
    assert done.exit_code == 0, done.output
    assert true_state(objective, ROWS).hex() in done.output
    assert true_weights(objective, ROWS).hex() in done.output
    assert "EQUAL" in done.output
    assert "5 rows remain" in done.output
    assert "unlearn verify" in done.output


def test_without_a_certificate_it_tells_what_it_finds(
    export: Callable[..., Path], objective: Objective
) -> None:
    done = replay(export(ROWS))
    assert done.exit_code == 0
    assert true_state(objective, ROWS).hex() in done.output
    assert "EQUAL" not in done.output


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (ROWS[1:], ["says that 5 remain, and here are 4", "the state", "the weights"]),
        ([*ROWS, ROWS[0]], ["says that 5 remain, and here are 6", "the state", "the weights"]),
        ([([1, -2, 4], 0, USER), *ROWS[1:]], ["the state", "the weights"]),
        ([([1, -2, 3], 1, USER), *ROWS[1:]], ["the state", "the weights"]),
        ([([1, -2, 3], 0, CORE), *ROWS[1:]], ["the state"]),
    ],
)
def test_other_rows_differ_from_the_certificate_and_which_is_not_told(
    export: Callable[..., Path], certificate: Callable[..., Path], rows: list[Any], told: list[str]
) -> None:
    done = replay(export(rows), certificate(ROWS))
    assert done.exit_code == 1
    differences = [line for line in done.output.splitlines() if line.startswith("- ")]
    assert len(differences) == len(told), done.output
    for line, words in zip(differences, told, strict=True):
        assert words in line


def test_another_salt_differs(
    export: Callable[..., Path], certificate: Callable[..., Path]
) -> None:
    done = replay(export(ROWS, salt=bytes(32)), certificate(ROWS))
    assert done.exit_code == 1
    assert "another salt" in done.output
    assert "remain, and" not in done.output


def test_another_objective_differs_and_is_named(
    export: Callable[..., Path], certificate: Callable[..., Path], objective_of: Make
) -> None:
    other = objective_of(3, ("Ärger", "cat"), ridge=2.0)
    done = replay(export(ROWS, objective=other), certificate(ROWS))
    assert done.exit_code == 1
    assert "- the objective" in done.output


@pytest.mark.parametrize("fields", [{"noise_scale": 0.5}, {"tangent_scope": "head"}])
def test_weights_that_are_not_exact_are_not_recomputed_and_it_says_so(
    export: Callable[..., Path], objective_of: Make, fields: dict[str, Any]
) -> None:
    objective = objective_of(3, 2, **fields)
    done = replay(export(ROWS, objective=objective))
    truth = true_tangent_state if "tangent_scope" in fields else true_state
    assert truth(objective, ROWS).hex() in done.output
    assert "weights commitment: not recomputed" in done.output
    assert done.exit_code == 0


def test_a_certificate_of_another_release_cannot_be_compared(
    export: Callable[..., Path], certificate: Callable[..., Path]
) -> None:
    done = replay(export(ROWS), certificate(ROWS, after="models/m/releases/1"))
    assert done.exit_code == 2
    assert "models/m/releases/1" in done.output


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"1",
        b"[" * 100_000,
        b'{"payload": "*"}',
        b'{"payload": 5}',
        b'{"dsseEnvelope": null}',
        b'{"payload": "e30="}',
    ],
)
def test_what_is_no_certificate_is_refused(
    export: Callable[..., Path], tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "certificate.json"
    path.write_bytes(content)
    done = replay(export(ROWS), path)
    assert done.exit_code == 2
    assert "unlearn-replay: --certificate: is no certificate" in done.output


def test_a_statement_of_another_type_or_without_a_release_is_refused(
    export: Callable[..., Path], tmp_path: Path
) -> None:
    rotation = {"predicateType": "urn:unlearn:key-rotation:v1", "predicate": {}}
    core_only = {
        "predicateType": "urn:unlearn:erasure:v1",
        "predicate": {"release": {"before": None, "after": None}},
    }
    for statement, told in ((rotation, "is no certificate"), (core_only, "commits to no release")):
        done = replay(export(ROWS), enveloped(tmp_path, statement))
        assert done.exit_code == 2
        assert told in done.output


def rewritten(path: Path, **members: Any) -> Path:
    """The archive with some members replaced by bytes, an array, or nothing."""
    with ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    with ZipFile(path, "w", ZIP_STORED) as archive:
        for name, content in kept.items():
            replaced = members.get(name.partition(".")[0], content)
            if isinstance(replaced, bytes):
                archive.writestr(name, replaced)
            elif replaced is not None:
                with archive.open(name, "w") as member:
                    np.lib.format.write_array(member, replaced, allow_pickle=True)
    return path


def told_json(path: Path, **changes: Any) -> bytes:
    with ZipFile(path) as archive:
        return json.dumps({**json.loads(archive.read("export.json")), **changes}).encode()


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "no archive": lambda path: path.write_bytes(b"PK"),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "no psi": lambda path: rewritten(path, psi=None),
    "no json": lambda path: rewritten(path, export=b"{"),
    "another format": lambda path: rewritten(path, export=told_json(path, format="v2")),
    "short salt": lambda path: rewritten(path, export=told_json(path, salt="00")),
    "no objective": lambda path: rewritten(path, export=told_json(path, objective={})),
    "objective of words": lambda path: rewritten(path, export=told_json(path, objective="none")),
    "fewer labels": lambda path: rewritten(path, labels=np.zeros(4, np.int32)),
    "fewer kinds": lambda path: rewritten(path, is_core=np.zeros(4, np.bool_)),
    "labels of two columns": lambda path: rewritten(path, labels=np.zeros((5, 1), np.int32)),
    "a label too large": lambda path: rewritten(path, labels=np.full(5, 2, np.int32)),
    "a negative label": lambda path: rewritten(path, labels=np.full(5, -1, np.int32)),
    "a narrower psi": lambda path: rewritten(path, psi=np.zeros((5, 2), np.int16)),
    "floats": lambda path: rewritten(path, psi=np.zeros((5, 3), np.float64)),
    "fortran order": lambda path: rewritten(path, psi=np.zeros((5, 3), np.int16, order="F")),
    "compressed": lambda path: np.savez_compressed(path, **np.load(path)),
    "pickles": lambda path: rewritten(path, psi=np.full((5, 3), None, object)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_no_export_is_refused(
    export: Callable[..., Path], damage: Callable[[Path], Any]
) -> None:
    path = export(ROWS)
    damage(path)
    done = replay(path)
    assert done.exit_code == 2, done.output
    assert done.output.startswith("unlearn-replay: EXPORT: is no export, or damaged; make it again")


@pytest.mark.parametrize(
    ("field", "value"),
    [("ridge", 4), ("ridge", "3"), ("width", 0), ("label_scale", -1), ("classes", [])],
)
def test_an_objective_that_no_model_has_is_refused(
    export: Callable[..., Path], objective: Objective, field: str, value: Any
) -> None:
    path = export(ROWS)
    told = told_json(path, objective={**objective.to_json(), field: value})
    done = replay(rewritten(path, export=told))
    assert done.exit_code == 2
    assert "Traceback" not in done.output


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data())
def test_a_changed_byte_is_refused_or_differs_or_is_no_byte_of_the_contents(
    export: Callable[..., Path], objective: Objective, data: st.DataObject
) -> None:
    path = export(ROWS)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    done = replay(path)
    assert done.exit_code in {0, 2}
    assert isinstance(done.exception, SystemExit | None)
    assert done.exit_code == 2 or true_state(objective, ROWS).hex() in done.output


@pytest.mark.parametrize(
    "fields",
    [
        {"feature_bound": 1.0, "ridge": 2.0**-28, "label_scale": 2.0**-4},
        {"feature_bound": 2.0**14, "ridge": 2.0**51, "label_scale": 64.0},
        {"feature_bound": 3.7, "ridge": 0.3, "label_scale": 1.7, "noise_scale": 0.1},
        {"tangent_scope": "head", "noise_scale": 0.5, "noise": Noise.INVERSE_HESSIAN},
    ],
)
def test_every_objective_that_a_model_can_have_is_read(
    export: Callable[..., Path], objective_of: Make, fields: dict[str, Any]
) -> None:
    objective = objective_of(3, 2, **fields)
    with Export.open(export(ROWS, objective=objective)) as opened:
        assert opened.source.objective == objective


def test_numpy_reads_an_export(export: Callable[..., Path]) -> None:
    with np.load(export(ROWS), allow_pickle=False) as file:
        assert file["psi"].tolist() == [psi for psi, _, _ in ROWS]
        assert file["labels"].tolist() == [label for _, label, _ in ROWS]
        assert file["is_core"].tolist() == [kind for _, _, kind in ROWS]
        assert json.loads(file["export.json"])["salt"] == SALT.hex()


def test_the_same_rows_make_the_same_file(export: Callable[..., Path]) -> None:
    assert export(ROWS).read_bytes() == export(ROWS).read_bytes()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, objective_of: Make) -> Path:
    """Rows of several blocks, wide enough that BLAS divides its sums among threads."""
    n, d = 5000, 300
    rng = np.random.default_rng(0)

    def blocks() -> Iterator[Block]:
        for _ in range(2):
            psi = rng.integers(-(2**14), 2**14, (n // 2, d), dtype=np.int16)
            yield Block(psi, rng.integers(0, 2, n // 2, dtype=np.int32), rng.random(n // 2) < 0.2)

    path = tmp_path_factory.mktemp("large") / "export.npz"
    with path.open("wb") as file:
        write(file, Source("models/m", 1, SALT, objective_of(d)), n, blocks())
    return path


def program(path: Path, threads: int) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    command = [str(Path(sys.executable).with_name("unlearn-replay")), str(path)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True)


def test_threads_and_the_order_of_rows_change_no_bit(large: Path, tmp_path: Path) -> None:
    found = {program(large, threads).stdout for threads in (1, 2)}
    with Export.open(large) as opened:
        blocks = [*opened.blocks()]
        source, rows = opened.source, opened.rows
    entries, labels, is_core = (
        np.concatenate([getattr(block, name) for block in blocks])
        for name in ("entries", "labels", "is_core")
    )
    order = np.random.default_rng(1).permutation(rows)
    shuffled = tmp_path / "shuffled.npz"
    with shuffled.open("wb") as file:
        write(file, source, rows, [Block(entries[order], labels[order], is_core[order])])
    found.add(program(shuffled, 2).stdout)
    assert len(found) == 1


def test_the_mathematics_alone_is_imported(export: Callable[..., Path]) -> None:
    code = (
        "import sys; from unlearning.replay.command import main\n"
        f"main([{str(export(ROWS))!r}], standalone_mode=False)\n"
        "print({name.partition('.')[0] for name in sys.modules}\n"
        "      & {'torch', 'grpc', 'sqlalchemy', 'unlearn_server', 'unlearn_client', 'unlearn'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nset()\n")
