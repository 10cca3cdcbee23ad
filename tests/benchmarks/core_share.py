"""What ZERO leaves of a model's accuracy, by the share of its samples that are CORE."""

from statistics import mean

import numpy as np

from tests.benchmarks.words import table
from unlearning.forgetting import MixedPrivacyModel
from unlearning.readouts.exact import ExactModel

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
DRAWS = 10


def errors_after_zero(model: ExactModel, rows: int) -> dict[float, float]:
    """Test errors by share, means over draws of which of the first ``rows`` are CORE."""
    rng = np.random.default_rng(0)
    return {share: mean(_error(model, rows, share, rng) for _ in range(DRAWS)) for share in SHARES}


def core_share_table(errors: dict[float, float]) -> str:
    """Markdown."""
    return table(
        ["CORE share of the samples", "test error after ZERO"],
        [[f"{share:.0%}", f"{error:.1%}"] for share, error in errors.items()],
    )


def _error(model: ExactModel, rows: int, share: float, rng: np.random.Generator) -> float:
    is_core = np.zeros(rows, np.bool_)
    is_core[rng.choice(rows, round(share * rows), replace=False)] = True
    mixed = MixedPrivacyModel(model.objective)
    mixed.add(model.psi[:rows], model.labels[:rows], is_core)
    mixed.erase_all_user_rows()
    weights = model.objective.weights(mixed.release().weights)
    logits = model.objective.logits(model.psi[rows:], weights)
    return float((logits.argmax(axis=1) != model.labels[rows:]).mean())
