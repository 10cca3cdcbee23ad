"""A report as a page: what is claimed, what was found, and how it came about."""

from collections.abc import Iterator

from tests.benchmarks.pretraining import payoff, plans, sets
from tests.benchmarks.pretraining.choices import CENTROID, DRAWS, LEAVE_ONE_OUT, RULES
from tests.benchmarks.pretraining.few_shot import EPISODES, QUERIES, START, WAYS
from tests.benchmarks.pretraining.intervals import Mean
from tests.benchmarks.pretraining.making import PROXY
from tests.benchmarks.pretraining.plans import (
    ALL_POSITIVES,
    CIDS,
    CONTRAST,
    CROSS_ENTROPY,
    PLANS,
    SIZES,
)
from tests.benchmarks.pretraining.probes import ALONE, BOTH, GENERALIST, SPECIALIST
from tests.benchmarks.pretraining.report import GOAL, Report, counted
from tests.benchmarks.words import duration, table

PLOT = "pretraining.svg"


def page(report: Report) -> str:
    """Markdown."""
    return "\n".join(
        [
            "# Cores made without user data: measured\n",
            f"{report.machine.words} All on one thread that gave way to everything else; cores "
            f"took {duration(sum(made['seconds'] for made in report.made.values()))} of processor "
            "time in all.\n",
            "## What was claimed, and what was found\n",
            _claims(report),
            f"![Few-shot accuracy, and accuracy before and after erasures]({PLOT})\n",
            "## Supervision in instance discrimination\n",
            f"A small encoder learned one half of the classes of {sets.FASHION} (clothes) from "
            "scratch, EfficientNet-Lite0 one half of the topics of stamps from ImageNet's weights "
            f"on; {WAYS}-way accuracy in % on classes whose images were not learned, {EPISODES} "
            f"episodes of {QUERIES} queries a class, the same for all; nearest class mean by "
            "cosine of the last layer's average. ± is half of an interval of 95 %. "
            f"`{START}`: the encoder with random weights, or those of ImageNet.\n",
            _few_shot(report),
            "CIDS minus the others, episode by episode, in points:\n",
            _differences(report),
            "## Consolidation\n",
            "Test accuracy in % of a linear probe (ridge regression on the last layer's average, "
            "its ridge by leave-one-out error). Generalist: EfficientNet-Lite0 of ImageNet. "
            "Specialist: the same fine-tuned by cross-entropy on half of the classes. All "
            f"see {SIZES[plans.LITE]} x {SIZES[plans.LITE]} pixels. In the last columns ± is half "
            "of an interval of 95 % of differences image by image.\n",
            _probes(report),
            "## Choosing a core\n",
            f"Among {len(report.choices['candidates'])} features: two maps of each core below. "
            "Regret: test accuracy of the best features and ridge in hindsight minus the chosen "
            f"one's, in points; means of {DRAWS} draws of training images.\n",
            _choices(report),
            "## What a better core is good for\n",
            f"Test accuracy in % of FEATURES models on each core's default map, with "
            f"{payoff.CORE_ROWS} CORE samples of each class and all other training images "
            "users': before, after EXACT erased half of them, and after ZERO; means of "
            f"{payoff.DRAWS} draws.\n",
            _payoff(report),
            "## Cores\n",
            _cores(report),
            "## Data sets\n",
            *(f"- **{name}**: {words}." for name, words in report.datasets.items()),
            "\n## How, and limits\n",
            *(f"- {limit}" for limit in _limits()),
            "",
        ]
    )


def _claims(report: Report) -> str:
    regret = report.choices["mean regret"][LEAVE_ONE_OUT]
    scratch, tuned = "small", "EfficientNet"
    rows = [
        *(
            [
                f"CIDS transfers to new classes better than {other} alone ({words})",
                counted(report.signs(other, prefix)),
            ]
            for prefix, words in ((scratch, "from scratch"), (tuned, "fine-tuned"))
            for other in (CONTRAST, CROSS_ENTROPY)
        ),
        *(
            [
                f"generalist + specialist is better than the {role} on {words} tasks",
                counted(report.probe_signs(role, related=related)),
            ]
            for role in (SPECIALIST, GENERALIST, ALONE)
            for related, words in ((True, "related"), (False, "unrelated"))
        ),
        [
            f"the leave-one-out choice costs at most {100 * GOAL:.1f} points on average",
            f"{'yes' if regret <= GOAL else 'no'}: {100 * regret:.2f} points",
        ],
    ]
    return table(["claim", "better / not told apart / worse"], rows)


def _few_shot(report: Report) -> str:
    methods = (CIDS, ALL_POSITIVES, CONTRAST, CROSS_ENTROPY, START)
    rows = [
        [task, shots, *(_mean(each["accuracy"].get(method)) for method in methods)]
        for task, found in report.few_shot.items()
        for shots, each in found.items()
    ]
    return table(["task", "shots", *methods], rows)


def _differences(report: Report) -> str:
    others = (CONTRAST, CROSS_ENTROPY, START)
    rows = [
        [task, shots, *(_signed(each["CIDS minus"][other]) for other in others)]
        for task, found in report.few_shot.items()
        for shots, each in found.items()
    ]
    return table(["task", "shots", *others], rows)


def _probes(report: Report) -> str:
    roles = (BOTH, ALONE, SPECIALIST, GENERALIST)
    rows = [
        [
            data,
            f"{task}{' (related)' if found['related'] else ''}",
            *(f"{100 * found['accuracy'][role]:.1f}" for role in roles),
            *(_signed(found["both minus"][role]) for role in (SPECIALIST, GENERALIST)),
        ]
        for data, tasks in report.probes.items()
        for task, found in tasks.items()
    ]
    beside = [f"both minus {role}" for role in (SPECIALIST, GENERALIST)]
    return table(["specialist", "task", *roles, *beside], rows)


def _choices(report: Report) -> str:
    rows = [
        [task, f"{100 * found['best']['mean']:.1f}"]
        + [_mean(found["regret"][rule]) for rule in RULES]
        for task, found in report.choices["tasks"].items()
    ]
    means = [f"{100 * report.choices['mean regret'][rule]:.2f}" for rule in RULES]
    return table(["task", "best, %", *RULES], [*rows, ["mean", "", *means]])


def _payoff(report: Report) -> str:
    moments = (payoff.BEFORE, payoff.HALF, payoff.ZERO)
    rows = [
        [task, core, *(_mean(found[moment]) for moment in moments)]
        for task, cores in report.payoff.items()
        for core, found in cores.items()
    ]
    return table(["task", "core", *moments], rows)


def _cores(report: Report) -> str:
    rows = []
    for name, made in report.made.items():
        plan = PLANS[name]
        learned = f"{plan.data}, {'odd' if plan.parity else 'even'} classes" if plan.data else "-"
        rows.append(
            [
                f"`{name}`",
                plan.encoder,
                plan.method,
                " and ".join(f"`{teacher}`" for teacher in plan.teachers) or learned,
                f"{plan.schedule.steps} x {plan.schedule.batch}" if made["loss"] else "-",
                f"{made['loss']:.3f}" if made["loss"] else "-",
                duration(made["seconds"]),
            ]
        )
    head = ["core", "encoder", "by", "of", "steps x images", "last loss", "processor time"]
    return table(head, rows)


def _mean(values: dict[str, float] | None) -> str:
    return str(Mean(**values)) if values else "-"


def _signed(values: dict[str, float]) -> str:
    return f"{100 * values['mean']:+.1f} ± {100 * values['half']:.1f}"


def _limits() -> Iterator[str]:
    yield (
        "Each core was trained once, from one seed: intervals are over episodes, images or draws "
        "of tasks, not over trainings. Rates and temperatures were set beforehand and not tuned."
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
        "probes learn from labelled images that are."
    )
    yield (
        "Students begin as the generalist: with its weights. The paper distils probabilities of "
        "classes; here features are predicted, since few cores have a head."
    )
    yield f"{CENTROID}: each sample left out of its own class's mean, on the features as they are."
    yield (
        "The best in hindsight is the best of all features with all ridges on the very images that "
        "it is judged by, which are few for stamps: part of the regret is chance that no rule can "
        "foresee. That does not explain all of it: the fewest mistakes on samples left out were a "
        "better guide than the least squared error, which `choose` goes by."
    )
    yield (
        "What was tried of consolidation besides: random heads drove the student's units to zero "
        "in a few steps; since then they begin at zero."
    )
    yield (
        "Among the candidates for a choice are cores that learned the task's own classes from "
        "other images of Fashion-MNIST: they are what is to be found."
    )
