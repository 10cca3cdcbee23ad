"""What the benchmark of pre-training counts, against the same done slowly."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from tests.benchmarks.pretraining.choices import centroid_accuracy
from tests.benchmarks.pretraining.few_shot import accuracy
from tests.benchmarks.pretraining.intervals import Mean
from tests.benchmarks.pretraining.probes import fitted
from unlearning.pretraining.episodes import episodes

RANDOM = np.random.default_rng(4)


def clusters(classes, each, d, apart):
    labels = np.arange(classes * each) % classes
    return RANDOM.normal(size=(classes, d))[labels] * apart + RANDOM.normal(
        size=(len(labels), d)
    ), labels


def test_a_centroid_is_taken_without_the_row_itself():
    rows, labels = clusters(3, 6, 2, 1.0)
    right = 0
    for i, row in enumerate(rows):
        others = np.arange(len(rows)) != i
        means = [rows[others & (labels == label)].mean(0) for label in range(3)]
        right += int(np.argmin([((row - mean) ** 2).sum() for mean in means]) == labels[i])
    assert centroid_accuracy(rows.astype(np.float32), labels) == pytest.approx(right / len(rows))


@pytest.mark.parametrize(("apart", "low", "high"), [(0.0, 0.15, 0.25), (9.0, 0.999, 1.0)])
def test_few_shots_of_noise_are_told_by_chance_and_those_of_clusters_are_told(apart, low, high):
    rows, labels = clusters(6, 30, 8, apart)
    drawn = episodes(labels, ways=5, shots=2, queries=10, count=100, seed=0)
    found = np.mean([accuracy(rows.astype(np.float32), episode) for episode in drawn])
    assert low <= found <= high


@pytest.mark.parametrize("n", [8, 40])
def test_both_sides_of_a_ridge_regression_give_the_same_classes(n):
    rows, labels = clusters(4, n // 4, 15, 1.0)
    W = np.linalg.solve(rows.T @ rows + 3 * np.eye(15), rows.T @ np.eye(4)[labels])
    asked = RANDOM.normal(size=(50, 15))
    told = fitted(rows.astype(np.float32), labels + 7, asked.astype(np.float32), (3.0, 500.0))
    assert (told[3.0] == (asked @ W).argmax(1) + 7).mean() > 0.95


def test_an_interval_says_what_is_beyond_chance():
    assert Mean.of([0.1, 0.2, 0.15, 0.12]).sign == 1
    assert Mean.of([-0.1, -0.2, -0.15]).sign == -1
    assert Mean.of([0.1, -0.1, 0.02]).sign == 0


def test_an_interval_of_seeds_and_episodes_holds_the_mean_as_often_as_it_says():
    inside = 0
    for _ in range(1000):
        seeds, episodes, both = (RANDOM.normal(size=size) for size in ((3, 1), (1, 20), (3, 20)))
        found = Mean.of(0.1 * seeds + 0.3 * episodes + 0.2 * both)
        inside += abs(found.mean) <= found.half
    assert inside >= 940


def test_an_interval_of_one_axis_is_students():
    found = Mean.of([1.0, 2.0, 4.0])
    low, high = ttest_1samp([1.0, 2.0, 4.0], 0).confidence_interval()
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high))
    assert Mean.of([[1.0, 2.0, 4.0]]) == found
