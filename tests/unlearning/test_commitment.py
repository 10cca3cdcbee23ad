"""Commitments against a second implementation, written from the description alone."""

import hashlib
import hmac
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from unlearning import commitment
from unlearning.commitment import (
    SALT_BYTES,
    tangent_state_commitment,
    weights_commitment,
)
from unlearning.multiset import RowMultiset
from unlearning.objective import Noise, Objective
from unlearning.statistics import Statistics

Make = Callable[..., Objective]
StatisticsOf = Callable[..., Statistics]
SALT = bytes(range(SALT_BYTES))


def state_commitment(
    salt: bytes, objective: Objective, everything: Statistics, core: Statistics
) -> bytes:
    digests = commitment.rows_digest(everything)(), commitment.rows_digest(core)()
    return commitment.state_commitment(salt, objective, *digests)


def description(objective: Objective) -> bytes:
    values = objective.to_json()
    assert float(values["feature_bound"]).is_integer()  # RFC 8785 writes 1.0 as 1
    values["feature_bound"] = int(values["feature_bound"])
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).digest()


def rows_digest(statistics: Statistics) -> bytes:
    G, B = statistics.G.entries(), statistics.B
    d, classes = B.shape
    leaves = [struct.pack("<q", statistics.n), b""]
    for a in range(d):
        leaves[1] += struct.pack(f"<{classes}q", *map(int, B[a]))
    for k in range(0, d, 64):
        leaves.append(b"")
        for a in range(k, min(k + 64, d)):
            row = [int(G[max(a, b), min(a, b)]) for b in range(a, d)]
            leaves[-1] += struct.pack(f"<{len(row)}q", *row)
    return hashlib.sha256(b"".join(hashlib.sha256(leaf).digest() for leaf in leaves)).digest()


def second_state(
    salt: bytes, objective: Objective, everything: Statistics, core: Statistics
) -> bytes:
    message = description(objective) + rows_digest(everything) + rows_digest(core)
    return hmac.new(salt, b"unlearn-state-v1\0" + message, hashlib.sha256).digest()


def second_weights(salt: bytes, objective: Objective, weights: Any) -> bytes:
    packed = b"".join(struct.pack("<q", int(w)) for row in weights for w in row)
    message = b"unlearn-weights-v1\0" + description(objective) + packed
    return hmac.new(salt, message, hashlib.sha256).digest()


@pytest.fixture
def small(
    objective_of: Make, statistics_of: StatisticsOf
) -> tuple[Objective, Statistics, Statistics]:
    objective = objective_of(3, ("Ärger", 'a "quoted" \\ cat'))
    core = statistics_of([[1, -2, 3]], [[4, -5]], objective.ridge)
    everything = statistics_of([[1, -2, 3], [-7, 2**14, 0]], [[4, -5], [0, 6]], objective.ridge)
    return objective, everything, core


def test_the_golden_vectors_are_kept(small: tuple[Objective, Statistics, Statistics]) -> None:
    objective, everything, core = small
    assert state_commitment(SALT, objective, everything, core).hex() == (
        "26a5127a9364cf7ec07012495cf29a8554dcb589d3130f6ee8b856b31ef8edc0"
    )
    weights = np.array([[1, -1], [0, 2**51], [-(2**51), 7]])
    assert weights_commitment(SALT, objective, weights).hex() == (
        "a88515d1721b6717c8b8a5f84bef792c81b30edc60a465aa8ff55bdcb4ab9428"
    )


@pytest.mark.parametrize("d", [1, 63, 64, 65, 130])
def test_commitments_are_what_their_description_says(
    objective_of: Make, statistics_of: StatisticsOf, d: int
) -> None:
    objective = objective_of(d, 3)
    rng = np.random.default_rng(d)
    psi, t = rng.integers(-(2**14), 2**14, (5, d)), rng.integers(-(2**18), 2**18, (5, 3))
    everything = statistics_of(psi, t, objective.ridge, 2**10)
    core = statistics_of(psi[:2], t[:2], objective.ridge)
    weights = rng.integers(-(2**52), 2**52, (d, 3))
    assert state_commitment(SALT, objective, everything, core) == second_state(
        SALT, objective, everything, core
    )
    for order in ("C", "F"):
        stored = np.array(weights, order=order)
        assert weights_commitment(SALT, objective, stored) == second_weights(
            SALT, objective, weights
        )


def test_equal_statistics_have_equal_commitments_whatever_their_history(
    small: tuple[Objective, Statistics, Statistics],
) -> None:
    objective, everything, core = small
    other = everything.copy()
    psi, t = np.array([[9, -9, 2**14], [0, -1, 1]]), np.array([[-3, 3], [0, 0]])
    other.add(psi, t)
    for i in (1, 0):
        other.subtract(psi[i : i + 1], t[i : i + 1])
    assert state_commitment(SALT, objective, other, core) == state_commitment(
        SALT, objective, everything, core
    )


def test_the_sign_of_zero_does_not_matter(
    small: tuple[Objective, Statistics, Statistics],
) -> None:
    objective, everything, core = small
    before = state_commitment(SALT, objective, everything, core)
    zeros = 0
    for array in (core.G._fine.triangle, core.B, everything.G._fine.triangle, everything.B):
        zeros += int((array == 0).sum())
        array[array == 0] = -0.0
    assert zeros
    assert state_commitment(SALT, objective, everything, core) == before


def test_any_changed_entry_changes_the_commitment(
    objective_of: Make, statistics_of: StatisticsOf
) -> None:
    d = 66  # leaves of G of 64 rows and of 2
    objective = objective_of(d, 2)
    psi = np.arange(2 * d).reshape(2, d)
    held = [statistics_of(psi, [[1, 2], [3, 4]], objective.ridge) for _ in range(2)]
    seen = {state_commitment(SALT, objective, *held)}
    entries = [(0, 0), (1, 0), (65, 0), (63, 63), (64, 63), (64, 64), (65, 64), (65, 65), (40, 20)]
    changes = 0
    for statistics in held:
        places = [(statistics.G._fine.triangle, at) for at in entries]
        places += [(statistics.B, at) for at in ((0, 0), (0, 1), (65, 0), (65, 1))]
        for array, at in places:
            for delta in (1, -1):
                array[at] += delta
                seen.add(state_commitment(SALT, objective, *held))
                array[at] -= delta
                changes += 1
        statistics.n += 1
        seen.add(state_commitment(SALT, objective, *held))
        statistics.n -= 1
        changes += 1
    seen.add(state_commitment(SALT, objective, *reversed(held)))  # as at first: they are equal
    assert len(seen) == changes + 1


def test_any_changed_weight_changes_the_commitment(objective_of: Make) -> None:
    objective = objective_of(3, 2)
    weights = np.arange(6).reshape(3, 2)
    seen = {weights_commitment(SALT, objective, weights)}
    for i in range(6):
        for delta in (1, -1):
            changed = weights.copy()
            changed.flat[i] += delta
            seen.add(weights_commitment(SALT, objective, changed))
    assert len(seen) == 13


def test_all_rows_and_core_rows_are_not_interchangeable(
    small: tuple[Objective, Statistics, Statistics],
) -> None:
    objective, everything, core = small
    assert state_commitment(SALT, objective, everything, core) != state_commitment(
        SALT, objective, core, everything
    )


@pytest.mark.parametrize(
    "other",
    [
        {"core_digest": "1f" * 32},
        {"feature_map": "other"},
        {"width": 4},
        {"feature_bound": 2.0},
        {"ridge": 2.0},
        {"label_scale": 16.0},
        {"classes": ("class 1", "class 0")},
        {"tangent_scope": "head"},
        {"noise_scale": 0.5},
        {"noise": Noise.INVERSE_HESSIAN},
    ],
    ids=lambda other: next(iter(other)),
)
def test_every_field_of_the_objective_is_committed_to(
    objective_of: Make, statistics_of: StatisticsOf, other: dict[str, Any]
) -> None:
    noisy = {"width": 3, "noise_scale": 1.0}
    first, second = objective_of(**noisy), objective_of(**{**noisy, **other})
    held = statistics_of([[1, 2, 3]], [[1, 2]], first.ridge)
    weights = np.ones((3, 2), np.int64)
    assert state_commitment(SALT, first, held, held) != state_commitment(SALT, second, held, held)
    assert weights_commitment(SALT, first, weights) != weights_commitment(SALT, second, weights)
    assert tangent_state_commitment(SALT, first, [], []) != tangent_state_commitment(
        SALT, second, [], []
    )


def test_another_salt_gives_another_commitment(
    small: tuple[Objective, Statistics, Statistics],
) -> None:
    weights = np.ones((3, 2), np.int64)
    salts = [SALT, bytes(SALT_BYTES), SALT[:-1] + b"\0"]
    assert len({state_commitment(salt, *small) for salt in salts}) == 3
    assert len({weights_commitment(salt, small[0], weights) for salt in salts}) == 3


TANGENT_CORE = [(1, [1, -2, 3])]
TANGENT_USER = [(0, [-7, 2**14, 0]), (1, [1, -2, 3]), (0, [-7, 2**14, 0])]


def tangent(user: list[Any], core: list[Any]) -> tuple[list[bytes], list[bytes]]:
    """Digests of all rows and of CORE rows, as a model hands them over."""
    digests = []
    for rows, is_core in ((core, True), (user, False)):
        held = RowMultiset(3, is_core=is_core)
        psi = np.array([psi for _, psi in rows], np.int16).reshape(-1, 3)
        held.add(psi, np.array([label for label, _ in rows], np.int64))
        digests.append(held.digests())
    return digests[0] + digests[1], digests[0]


def second_tangent_state(
    salt: bytes, objective: Objective, user: list[Any], core: list[Any]
) -> bytes:
    def digests(rows: list[Any], is_core: int) -> list[bytes]:
        return [hashlib.sha256(struct.pack("<iB3h", y, is_core, *psi)).digest() for y, psi in rows]

    message = b"unlearn-tangent-state-v1\0" + description(objective)
    for part in (digests(user, 0) + digests(core, 1), digests(core, 1)):
        message += struct.pack("<q", len(part)) + b"".join(sorted(part))
    return hmac.new(salt, message, hashlib.sha256).digest()


def test_the_golden_vector_of_tangent_rows_is_kept(objective_of: Make) -> None:
    objective = objective_of(3, ("Ärger", 'a "quoted" \\ cat'), tangent_scope="head")
    digests = tangent(TANGENT_USER, TANGENT_CORE)
    committed = tangent_state_commitment(SALT, objective, *digests)
    assert committed == second_tangent_state(SALT, objective, TANGENT_USER, TANGENT_CORE)
    assert committed.hex() == ("20e1a0b51779079682c2611de3ae6c76f67cb81e9439553b472ec2d864a2dd71")


def test_tangent_rows_are_committed_to_with_their_number_kind_and_content(
    objective_of: Make,
) -> None:
    objective = objective_of(3, 2, tangent_scope="head")
    variants = [
        (TANGENT_USER, TANGENT_CORE),
        (TANGENT_USER[1:], TANGENT_CORE),
        (TANGENT_USER + TANGENT_CORE, []),
        (TANGENT_CORE, TANGENT_USER),
        ([(1, [-7, 2**14, 0]), *TANGENT_USER[1:]], TANGENT_CORE),
        ([(0, [-7, 2**14, 1]), *TANGENT_USER[1:]], TANGENT_CORE),
        ([], []),
    ]
    seen = set()
    for user, core in variants:
        for rows in (user, user[::-1]):
            committed = tangent_state_commitment(SALT, objective, *tangent(rows, core))
            assert committed == second_tangent_state(SALT, objective, rows, core)
            seen.add(committed)
    assert len(seen) == len(variants)
