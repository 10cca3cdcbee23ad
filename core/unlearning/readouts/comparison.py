"""Models that forgot beside ones retrained without the samples, on the data as they are.

The read-outs of Golatkar et al. (CVPR 2021, section 5): errors, the entropy attack's verdicts,
activation distances and relearn time. Samples of one release share its noise, so only releases
are independent: of each a read-out is one number, and the median over releases that forgot must
lie where retrained ones and the bound let it. Without noise all releases are the same, and must
be retraining's exactly.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unlearning.readouts.entropy import Threshold, held_out, softmax_entropy
from unlearning.readouts.intervals import median_interval
from unlearning.readouts.model import Floats, Released, Samples
from unlearning.readouts.relearning import Relearning
from unlearning.readouts.result import ReadOut

READ_OUTS = 10
"""Intervals in a comparison: three on each part of the samples, and relearn time."""

Outputs = dict[str, Floats]
"""Logits of the erased, the retained and the test samples."""

Flags = dict[str, NDArray[np.bool_]]
"""A verdict on each of them."""

Figures = dict[str, float]
"""A release's read-outs by name."""


def outputs(released: Released, samples: Samples) -> Outputs:
    """Everything that a release is compared by."""
    return {part: released(rows) for part, rows in samples.parts.items()}


def errors(outputs: Outputs, samples: Samples) -> Flags:
    """Whether the largest logit is another label's."""
    return {
        part: outputs[part].argmax(axis=1) != samples.labels[rows]
        for part, rows in samples.parts.items()
    }


def called_members(outputs: Outputs) -> Flags:
    """The entropy attack's verdicts: retained and test samples by thresholds from the others."""
    entropies = {part: softmax_entropy(logits) for part, logits in outputs.items()}
    members, others = entropies["retained"], entropies["test"]
    retained, test = held_out(members, others)
    erased = Threshold.best(members, others)(entropies["erased"])
    return {"erased": erased, "retained": retained, "test": test}


def distances(one: Outputs, other: Outputs) -> dict[str, float]:
    """Activation distances: the mean over samples of the Euclidean one between logits."""
    return {
        part: float(np.linalg.norm(logits - other[part], axis=1).mean())
        for part, logits in one.items()
    }


def figures(
    released: Outputs, reference: Outputs, samples: Samples, relearning: Relearning
) -> Figures:
    """Of a release; distances are from a retrained one that is not compared itself."""
    parts = {
        "error": _shares(errors(released, samples)),
        "called trained on": _shares(called_members(released)),
        "activation distance": distances(released, reference),
    }
    return {
        **{
            f"{name}, {part}": value for name, each in parts.items() for part, value in each.items()
        },
        "relearn steps": relearning.steps(released["erased"]),
    }


def compare(
    unlearned: Sequence[Figures], retrained: Sequence[Figures], mu: float, confidence: float
) -> tuple[ReadOut, ...]:
    """All read-outs, of independent releases; ``confidence`` is that of each.

    Both intervals of a read-out have half its error.
    """
    each = (1 + confidence) / 2
    return tuple(
        ReadOut(
            name,
            median_interval([one[name] for one in unlearned], each, 0.0),
            median_interval([one[name] for one in retrained], each, mu),
        )
        for name in retrained[0]
    )


def _shares(flags: Flags) -> dict[str, float]:
    return {part: float(each.mean()) for part, each in flags.items()}
