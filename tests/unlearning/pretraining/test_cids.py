"""The loss against a double loop, a hand example and finite differences; queue and momentum."""

from itertools import combinations
from math import exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from unlearning.pretraining.augmentation import Augmentation
from unlearning.pretraining.cids import Cids, Queue, contrastive_loss, follow
from unlearning.pretraining.encoders import SmallEncoder
from unlearning.pretraining.training import seeded


def by_loops(queries, keys, queue, is_positive, positives, temperature):
    """The mean over all ways to draw so many positives."""
    total = 0.0
    for i, q in enumerate(queries):
        e = [exp(float(q @ k) / temperature) for k in (keys[i], *queue)]
        terms = [log(each / sum(e)) for each in e]
        same = [term for term, positive in zip(terms[1:], is_positive[i], strict=True) if positive]
        drawn = list(combinations(same, min(positives, len(same))))
        total -= sum(sum((terms[0], *some)) / (1 + len(some)) for some in drawn) / len(drawn)
    return total / len(queries)


def some(seed, n, K, c=5):
    generator = torch.Generator().manual_seed(seed)
    rows = [
        normalize(torch.randn(m, c, generator=generator, dtype=torch.float64)) for m in (n, n, K)
    ]
    return (*rows, torch.rand(n, K, generator=generator) < 0.4)


class TestLoss:
    @given(
        st.integers(0, 2**32),
        st.integers(1, 4),
        st.integers(0, 6),
        st.integers(1, 7),
        st.floats(0.05, 2),
    )
    def test_is_what_a_double_loop_says(self, seed, n, K, positives, temperature):
        values = some(seed, n, K)
        found = contrastive_loss(*values, positives=positives, temperature=temperature).item()
        assert found == pytest.approx(by_loops(*values, positives, temperature), rel=1e-12)

    def test_by_hand(self):
        # Dot products 1 with its own key, 0 and 1 in the queue, tau = 1: Z = 2e + 1.
        q = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
        queue = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
        Z = 2 * exp(1) + 1
        for is_positive, positives, expected in (
            ([False, False], 1, log(Z) - 1),
            ([True, False], 1, log(Z) - 1 / 2),
            ([True, True], 2, log(Z) - 2 / 3),
            ([True, True], 1, log(Z) - 1 / 2 - 1 / 4),
        ):
            is_positive = torch.tensor([is_positive])
            found = contrastive_loss(q, q, queue, is_positive, positives=positives, temperature=1.0)
            assert found.item() == pytest.approx(expected, rel=1e-14)

    def test_without_positives_it_is_infonce(self):
        queries, keys, queue, is_positive = some(1, 5, 7)
        found = contrastive_loss(
            queries, keys, queue, torch.zeros_like(is_positive), positives=3, temperature=0.2
        )
        logits = torch.stack(
            [torch.cat([(q @ k)[None], queue @ q]) for q, k in zip(queries, keys, strict=True)]
        )
        own = torch.zeros(5, dtype=torch.int64)
        assert found.item() == pytest.approx(cross_entropy(logits / 0.2, own).item(), rel=1e-14)

    def test_gradients_agree_with_finite_differences(self):
        queries, keys, queue, is_positive = some(2, 3, 6)
        inputs = [one.requires_grad_() for one in (queries, keys, queue)]

        def loss(*rows):
            return contrastive_loss(*rows, is_positive, positives=2, temperature=0.3)

        assert torch.autograd.gradcheck(loss, inputs)


class TestQueue:
    @given(st.integers(1, 7), st.lists(st.integers(0, 12), max_size=6))
    def test_holds_the_newest(self, size, pushes):
        queue = Queue(size, 1)
        every = torch.arange(sum(pushes))
        for part in every.split(pushes) if pushes else ():
            queue.push(part[:, None].float(), part)
        keys, labels = queue.held()
        assert sorted(labels.tolist()) == every[-size:].tolist()
        assert keys[:, 0].tolist() == labels.tolist()

    def test_what_was_taken_out_stays_as_it_was(self):
        queue = Queue(2, 1)
        queue.push(torch.ones(2, 1), torch.zeros(2, dtype=torch.int64))
        keys, _ = queue.held()
        queue.push(torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64))
        assert keys.tolist() == [[1], [1]]


def test_the_follower_is_an_exponential_moving_average():
    leader, follower = nn.Linear(2, 1), nn.Linear(2, 1)
    nn.init.constant_(follower.weight, 1.0)
    expected = 1.0
    for value in (0.0, 3.0, -2.0):
        nn.init.constant_(leader.weight, value)
        follow(follower, leader, 0.9)
        expected = 0.9 * expected + 0.1 * value
    assert follower.weight.tolist()[0] == pytest.approx([expected] * 2)


def learner(labels, n=6, **options):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, 16, 16, 3), generator=generator, dtype=torch.uint8)
    options = {"positives": 4, "temperature": 0.2, "momentum": 0.5, "queue": 8, **options}
    with seeded(0):
        encoder = SmallEncoder(16)
        return Cids(encoder, pixels, labels, Augmentation(), **options)


def losses(labels):
    made, rows = learner(labels), torch.arange(6)
    return [made(rows, torch.Generator().manual_seed(i)).item() for i in range(2)]


class TestLearner:
    def test_labels_matter_once_the_queue_holds_keys(self):
        without, same = losses(None), losses(torch.zeros(6, dtype=torch.int64))
        assert without[0] == same[0]
        assert without[1] != same[1]

    def test_classes_of_one_are_no_labels_while_each_was_seen_once(self):
        made = [learner(labels) for labels in (None, torch.arange(6))]
        for rows in (torch.arange(3), torch.arange(3, 6)):
            a, b = (one(rows, torch.Generator().manual_seed(1)).item() for one in made)
            assert a == b

    def test_only_queries_are_trained(self):
        made = learner(None)
        made(torch.arange(6), torch.Generator()).backward()
        made(torch.arange(6), torch.Generator()).backward()
        assert all(weight.grad is not None for weight in made.query.parameters())
        assert all(weight.grad is None for weight in made.key.parameters())
        assert not made.queue.keys.requires_grad
        assert torch.allclose(made.queue.keys[:8].norm(dim=1), torch.ones(8))
