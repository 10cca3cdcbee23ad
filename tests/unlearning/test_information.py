"""What EXACT and ZERO say of what can still be learned."""

from math import inf

import pytest

from unlearning.information import EXACT_ASSUMPTIONS, exact_bound


def test_the_same_bits_leave_nothing_to_learn_but_by_differencing() -> None:
    bound = exact_bound(cohort=7)
    assert bound.nats == bound.gaussian_dp == bound.epsilon == bound.delta == 0
    assert bound.attack_accuracy == 0.5
    assert bound.attack_tpr == pytest.approx(0.01, rel=1e-12)
    assert bound.differencing_gaussian_dp == inf
    assert bound.cohort == 7


def test_the_release_before_and_the_core_are_assumed_away_in_words() -> None:
    assert exact_bound(cohort=1).assumptions == EXACT_ASSUMPTIONS
    for word in ("release before", "core was not trained", "after seeing a release"):
        assert any(word in assumption for assumption in EXACT_ASSUMPTIONS)
