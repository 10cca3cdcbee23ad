"""How it was measured, and what that does not show: sentences for the page."""

from collections.abc import Iterator

from tests.benchmarks.pretraining.choices import CENTROID, LOG_LOSS, MISTAKES
from tests.benchmarks.pretraining.making import PROXY
from tests.benchmarks.pretraining.plans import SEEDS


def limits() -> Iterator[str]:
    """One after another."""
    yield (
        f"Each core was trained from {len(SEEDS)} seeds; a student's teacher is the specialist of "
        "its own seed. ± is half of an interval of 95 %, the root of the sum of two squares: "
        "Student's over seeds, and Student's over episodes, images or draws, which are the same "
        "for each seed. Rates and temperatures were set beforehand and not tuned."
    )
    yield (
        "The first CIDS, in which each same-class key of the queue counts as much as an image's "
        "own, lost to contrast alone on new classes: with five classes, one's own key is one of "
        "200 positives. So they were given the weight of one together (`positives = 1`), which is "
        "all that was tried. That was chosen by what comes of learning the even classes of "
        "Fashion-MNIST; cores of the odd ones and of stamps had no part in it."
    )
    yield (
        "Runs are short, a minute or two: the papers train for days. Classes are few: five on each "
        "side, where Mini-ImageNet has 64 to learn."
    )
    yield (
        "Cross-entropy and contrast without labels take as many steps as CIDS, of as many images "
        "with the same changes; CIDS and contrast also run the key encoder."
    )
    yield (
        "The proxy set of consolidation: "
        + ", ".join(f"{count:,} of {name}" for name, count in PROXY.items())
        + ", training images of all classes without their labels. The students see them as their "
        "teachers do, without augmentation. Test images are in no proxy set; digits' and stamps' "
        "probes learn from labelled images that are, and episodes are drawn from these too."
    )
    yield (
        "Students begin as the generalist, with its weights. The paper distils probabilities of "
        "classes; here features are predicted, since few cores have a head."
    )
    yield f"{CENTROID}: each sample left out of its own class's mean, on the features as they are."
    yield (
        "The best in hindsight is the best on the very images that it is judged by, which are few "
        "for stamps: part of the regret is chance that no rule can foresee. How much, the last "
        "column says: the regret of taking what is best on half of the test images, judged on the "
        "other half."
    )
    yield (
        f"`choose` goes by {LOG_LOSS}, of two classifiers; {MISTAKES} are ridge regression's, "
        f"{LOG_LOSS} where they are equal. Tried on the even classes besides: either classifier's "
        "log-loss alone, fixed and fitted temperatures, squared errors around the best scaling, "
        "averages over ridges, and larger ridges. None was better there from 20 images a class "
        "on; at five the class means' log-loss alone was."
    )
    yield (
        "What was tried of consolidation besides: random heads drove the student's units to zero "
        "in a few steps; since then they begin at zero."
    )
    yield (
        "Among the candidates for a choice are cores that learned the task's own classes from "
        "other images of Fashion-MNIST: they are what is to be found."
    )
