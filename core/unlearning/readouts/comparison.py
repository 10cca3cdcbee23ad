"""The model that forgot beside one retrained without the samples, on the data as they are.

The read-outs of Golatkar et al. (CVPR 2021, section 5): errors, the entropy attack's verdicts,
activation distances and relearn time. Retraining leaves each an interval: for a share of
samples the hull of its Clopper-Pearson intervals over several retrainings, else where one more
retraining would fall. Without noise all retrainings are the same, and distances and relearn
time must be so exactly.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from unlearning.readouts.entropy import Threshold, held_out, softmax_entropy
from unlearning.readouts.intervals import Interval, clopper_pearson, prediction_interval
from unlearning.readouts.model import Floats, Released, Samples
from unlearning.readouts.relearning import Relearning
from unlearning.readouts.result import ReadOut

READ_OUTS = 10
"""Intervals in a comparison: three on each part of the samples, and relearn time."""

Outputs = dict[str, Floats]
"""Logits of the erased, the retained and the test samples."""

Flags = dict[str, NDArray[np.bool_]]
"""A verdict on each of them."""


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


def compare(
    samples: Samples,
    unlearned: Outputs,
    retrained: Sequence[Outputs],
    relearning: Relearning,
    mu: float,
    confidence: float,
) -> tuple[ReadOut, ...]:
    """All read-outs, from at least three retrainings; ``confidence`` is that of each interval."""

    def shares(name: str, flags: Callable[[Outputs], Flags]) -> list[ReadOut]:
        ours, theirs = flags(unlearned), [flags(one) for one in retrained]
        return [
            ReadOut(
                f"{name}, {part}",
                Interval.point(float(ours[part].mean())),
                _hull([one[part] for one in theirs], confidence),
            )
            for part in samples.parts
        ]

    def number(name: str, ours: float, theirs: Sequence[float]) -> ReadOut:
        return ReadOut(name, Interval.point(ours), prediction_interval(theirs, confidence, mu))

    first, *others = retrained
    apart, others_apart = distances(unlearned, first), [distances(one, first) for one in others]
    return (
        *shares("error", lambda one: errors(one, samples)),
        *shares("called trained on", called_members),
        *(
            number(f"activation distance, {part}", apart[part], [one[part] for one in others_apart])
            for part in samples.parts
        ),
        number(
            "relearn steps",
            relearning.steps(unlearned["erased"]),
            [relearning.steps(one["erased"]) for one in retrained],
        ),
    )


def _hull(flags: Sequence[NDArray[np.bool_]], confidence: float) -> Interval:
    """Around the shares of flags that are set, in samples of the same size."""
    each = [clopper_pearson(int(one.sum()), len(one), confidence) for one in flags]
    return Interval(
        min(one.low for one in each),
        float(np.mean([one.value for one in each])),
        max(one.high for one in each),
    )
