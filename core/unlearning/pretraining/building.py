"""Core packages, from what is wanted: checked as a whole before any work, then trained."""

from dataclasses import asdict

import torch

from unlearning.cores import Library
from unlearning.cores.package import Package
from unlearning.pretraining import images
from unlearning.pretraining.cids import Cids
from unlearning.pretraining.configuration import CidsWanted, ConsolidationWanted, Wanted
from unlearning.pretraining.consolidation import Consolidation, check_teacher, lessons
from unlearning.pretraining.encoders import ENCODERS
from unlearning.pretraining.runs import Run
from unlearning.pretraining.training import Progress, seeded, train

TRAINING = ".training"
"""Behind the package's name: the folder of its run."""


def cids(wanted: CidsWanted, progress: Progress) -> Package:
    """Trains by contrast from the last checkpoint on; the package is not written.

    Raises:
        InvalidInputError: for images that cannot be learned from.
        CoreError: if the run's folder has another run's, or cannot be read or written.
    """
    found = (images.labelled if wanted.labels else images.unlabelled)(wanted.images)
    run = _run(wanted, found)
    pixels = torch.from_numpy(found.pixels(wanted.size))
    with seeded(wanted.training.seed):
        encoder = ENCODERS[wanted.encoder](wanted.size)
        learner = Cids(
            encoder,
            pixels,
            None if found.labels is None else torch.from_numpy(found.labels),
            wanted.augmentation,
            **asdict(wanted.contrast),
        )
    train(learner, len(pixels), wanted.training, run, progress)
    return encoder.package(wanted.package.name, _provenance(wanted, "CIDS"))


def consolidated(wanted: ConsolidationWanted, library: Library, progress: Progress) -> Package:
    """Trains a student from the last checkpoint on; the package is not written.

    Raises:
        InvalidInputError: for images that cannot be learned from, and for an unknown core or map.
        CoreError: for a teacher that cannot teach on images, and as ``cids``.
    """
    teachers = [library.load(said.core) for said in wanted.teachers]
    for said, teacher in zip(wanted.teachers, teachers, strict=True):
        check_teacher(teacher, said.feature_map)
    proxies = images.unlabelled(wanted.images)
    digests = ", ".join(teacher.digest for teacher in teachers)
    run = _run(wanted, proxies, digests=digests)
    pixels = torch.from_numpy(proxies.pixels(wanted.size))
    taught = [
        lessons(teacher, said.feature_map, proxies.encoded)
        for said, teacher in zip(wanted.teachers, teachers, strict=True)
    ]
    with seeded(wanted.training.seed):
        encoder = ENCODERS[wanted.encoder](wanted.size)
        learner = Consolidation(encoder, pixels, taught)
    train(learner, len(pixels), wanted.training, run, progress)
    how = f"representation consolidation of the cores {digests}"
    return encoder.package(wanted.package.name, _provenance(wanted, how))


def _run(wanted: Wanted, found: images.Images, **further: str) -> Run:
    """The run of a package, which goes on only with all that it depends on as it was."""
    settings = {key: str(value) for key, value in asdict(wanted).items() if key not in _PLACES}
    place = wanted.package.with_name(wanted.package.name + TRAINING)
    return Run(wanted.package.name, place, {**settings, "image files": found.digest(), **further})


_PLACES = ("package", "images", "trained_on")
"""On which what is learned does not depend."""


def _provenance(wanted: Wanted, how: str) -> str:
    start = "" if wanted.encoder == "small" else f", from {wanted.encoder} on"
    return f"{wanted.trained_on}; by {how}{start}"
