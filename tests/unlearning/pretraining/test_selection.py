"""Leave-one-out errors against refits, choices among features, and few-shot episodes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearning.errors import InvalidInputError
from unlearning.pretraining.episodes import episodes
from unlearning.pretraining.selection import (
    choose,
    leave_one_out_cosines,
    leave_one_out_residuals,
    targets_of,
)


def by_refits(X, T, ridge):
    residuals = []
    for i in range(len(X)):
        kept = np.delete(np.arange(len(X)), i)
        A = X[kept].T @ X[kept] + ridge * np.eye(X.shape[1])
        W = np.linalg.solve(A, X[kept].T @ T[kept])
        residuals.append(T[i] - X[i] @ W)
    return np.array(residuals)


@given(st.integers(0, 2**32), st.integers(2, 12), st.integers(1, 12), st.floats(0.01, 100))
def test_residuals_are_those_of_fits_that_lack_the_row(seed, n, d, ridge):
    random = np.random.default_rng(seed)
    X, T = random.normal(size=(n, d)), random.normal(size=(n, 3))
    ((given_ridge, found),) = leave_one_out_residuals(X, T, [ridge])
    assert given_ridge == ridge
    assert np.allclose(found, by_refits(X, T, ridge), rtol=1e-7, atol=1e-7)


def gaussian(random, n, d, distance):
    labels = np.arange(n) % 3
    centres = random.normal(size=(3, d)) * distance
    rows = centres[labels] + random.normal(size=(n, d))
    return np.column_stack([rows, np.ones(n)]), labels


@pytest.mark.parametrize("n", [9, 60])
def test_the_better_features_are_chosen_with_their_error(n):
    random = np.random.default_rng(2)
    good, labels = gaussian(random, n, 15, 2.0)
    noise, _ = gaussian(random, n, 15, 0.0)
    chosen = choose({"noise": noise, "good": good.astype(np.float32)}, labels, (0.5, 5.0))
    assert chosen.features == "good"
    assert len(chosen.scores) == 4
    assert chosen.score.log_loss == min(each.log_loss for each in chosen.scores.values())
    X, T = good.astype(np.float32).astype(float), targets_of(labels)
    r = by_refits(X, T, chosen.ridge)
    losses = [log_loss(10 * (T - r) / T.max(), labels), log_loss(5 * cosines(X, labels), labels)]
    assert chosen.score.log_loss == pytest.approx(sum(losses))
    assert chosen.score.error == pytest.approx(np.square(r).sum(1).mean())
    assert chosen.score.accuracy == pytest.approx(((T - r).argmax(1) == labels).mean())


def log_loss(logits, labels):
    odds = np.exp(logits)
    return -np.log(odds[np.arange(len(labels)), labels] / odds.sum(1)).mean()


def cosines(X, labels):
    units, found = [each / np.linalg.norm(each) for each in X - X.mean(0)], []
    for i in range(len(X)):
        others = [j for j in range(len(X)) if j != i]
        means = [np.mean([units[j] for j in others if labels[j] == c], 0) for c in set(labels)]
        found.append([units[i] @ mean / np.linalg.norm(mean) for mean in means])
    return np.array(found)


@given(st.integers(0, 2**32), st.integers(6, 12), st.integers(2, 5))
def test_cosines_are_those_of_means_that_lack_the_row(seed, n, d):
    X, labels = np.random.default_rng(seed).normal(size=(n, d)), np.arange(n) % 3
    assert np.allclose(leave_one_out_cosines(X, labels), cosines(X, labels))


def test_features_that_tell_nothing_leave_the_classes_as_they_are():
    chosen = choose({"same": np.ones((6, 4))}, [0, 1, 2] * 2, (1.0,))
    assert chosen.score.log_loss > 2 * np.log(3) - 1e-9


def test_a_class_of_one_sample_is_refused():
    with pytest.raises(InvalidInputError, match="a class has a single sample"):
        choose({"some": np.ones((3, 2))}, ["a", "a", "b"])


def test_nothing_to_choose_from_is_told():
    with pytest.raises(InvalidInputError, match="nothing to choose from"):
        choose({}, [0, 0, 1, 1])


LABELS = np.repeat([3, 5, 7, 9], [6, 7, 8, 9])


def drawn(**changed):
    sizes = {"ways": 3, "shots": 2, "queries": 4, "count": 200, "seed": 1, **changed}
    return list(episodes(LABELS, **sizes))


def test_episodes_hold_what_was_asked_for():
    for each in drawn():
        assert len(set(each.support) | set(each.query)) == 3 * 6
        assert np.bincount(each.support_labels).tolist() == [2] * 3
        assert np.bincount(each.query_labels).tolist() == [4] * 3
        names = LABELS[each.support[::2]]
        assert len(set(names)) == 3
        assert (names[each.support_labels] == LABELS[each.support]).all()
        assert (names[each.query_labels] == LABELS[each.query]).all()


def test_every_sample_is_drawn_and_a_seed_says_all():
    seen = np.concatenate([each.support for each in drawn()])
    assert set(seen) == set(range(30))
    first, again, other = drawn(), drawn(), drawn(seed=2)
    assert all((a.query == b.query).all() for a, b in zip(first, again, strict=True))
    assert any((a.query != b.query).any() for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("changed", [{"ways": 5}, {"shots": 3}, {"queries": 5}])
def test_too_few_classes_or_samples_are_told(changed):
    with pytest.raises(InvalidInputError, match="give at least"):
        drawn(**changed)
