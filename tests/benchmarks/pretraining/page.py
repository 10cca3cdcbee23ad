"""A report as a page: what is claimed, what was found, and how it came about."""

from tests.benchmarks.pretraining import payoff, sets
from tests.benchmarks.pretraining.choices import (
    DATA,
    FEW_SHOT,
    GROUPS,
    LEARNED,
    LOG_LOSS,
    ORACLE,
    RULES,
    SIZED,
    TUNED,
)
from tests.benchmarks.pretraining.few_shot import EPISODES, OTHERS, QUERIES, START, WAYS
from tests.benchmarks.pretraining.intervals import Mean
from tests.benchmarks.pretraining.limits import limits
from tests.benchmarks.pretraining.plans import (
    ALL_POSITIVES,
    CIDS,
    CONTRAST,
    CROSS_ENTROPY,
    LITE,
    PLANS,
    SIZES,
    SMALL,
    trainings,
)
from tests.benchmarks.pretraining.probes import ALONE, BOTH, GENERALIST, SPECIALIST, is_related
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
            "cosine of the last layer's average. ± is half of an interval of 95 %, over seeds and "
            f"episodes (see below). `{START}`: the encoder with random weights, or ImageNet's.\n",
            _few_shot(report),
            "CIDS minus the others, seed by seed and episode by episode, in points:\n",
            _differences(report),
            "## Consolidation\n",
            "Accuracy in % on the last layer's average, by two judges: a linear probe (ridge "
            "regression, its ridge chosen by leave-one-out) of the test images, and the "
            f"{WAYS}-way few-shot episodes from above. Generalist: EfficientNet-Lite0 of ImageNet. "
            "Specialist: the same fine-tuned by cross-entropy on half of the classes. All "
            f"see {SIZES[LITE]} x {SIZES[LITE]} pixels. Differences are seed by seed, and image by "
            "image or episode by episode.\n",
            _probes(report),
            "## Choosing a core\n",
            f"Among {report.choices['candidates']} features: two maps of each core below, of seed "
            "0. Regret, in points: accuracy of the best core in hindsight, with the ridge that "
            "`choose` takes for it, minus that of the chosen one, on all images that were not "
            f"drawn to choose by. Of a class no more than {LEARNED:.0%} are drawn. At sizes that "
            f"people have, on odd classes, means of {GROUPS[SIZED].draws} draws:\n",
            _choices(report, SIZED),
            f"Few-shot, on odd classes, {GROUPS[FEW_SHOT].draws} draws:\n",
            _choices(report, FEW_SHOT),
            f"On the even classes, on which the rule was found, {GROUPS[TUNED].draws} draws:\n",
            _choices(report, TUNED),
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
            *(f"- {limit}" for limit in limits()),
            "",
        ]
    )


def _claims(report: Report) -> str:
    regret, by_data = (
        report.regret(LOG_LOSS),
        {data: report.regret(LOG_LOSS, data) for data in DATA},
    )
    rows = [
        *(
            [
                f"CIDS transfers to new classes better than {other} alone ({words})",
                counted(report.signs(encoder, other)),
            ]
            for encoder, words in ((SMALL, "from scratch"), (LITE, "fine-tuned"))
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
            f"{'yes' if regret <= GOAL else 'no'}: {100 * regret:.2f} points ("
            + ", ".join(f"{data} {100 * mean:.2f}" for data, mean in by_data.items())
            + ")",
        ],
    ]
    return table(["claim", "better / not told apart / worse"], rows)


def _few_shot(report: Report) -> str:
    methods = (CIDS, ALL_POSITIVES, CONTRAST, CROSS_ENTROPY, START)
    rows = [
        [task, *(_mean(each["accuracy"].get(method)) for method in methods)]
        for found in report.few_shot.values()
        for task, each in found["tasks"].items()
    ]
    return table(["task", *methods], rows)


def _differences(report: Report) -> str:
    rows = []
    for encoder, found in report.few_shot.items():
        by_task = {task: each["CIDS minus"] for task, each in found["tasks"].items()}
        by_task[f"all of {encoder}"] = found["CIDS minus, on average"]
        rows += [
            [task, *(_signed(each[other]) for other in OTHERS)] for task, each in by_task.items()
        ]
    return table(["task", *OTHERS], rows)


def _probes(report: Report) -> str:
    roles = (BOTH, ALONE, SPECIALIST, GENERALIST)
    rows = [
        [
            specialist,
            f"{task}{' (related)' if is_related(specialist, task) else ''}",
            judge,
            *(f"{100 * found['accuracy'][role]['mean']:.1f}" for role in roles),
            *(_signed(found["both minus"][role]) for role in roles[1:]),
        ]
        for specialist, tasks in report.probes.items()
        for task, judges in tasks.items()
        for judge, found in judges.items()
    ]
    beside = [f"both minus {role}" for role in roles[1:]]
    return table(["specialist", "task", "judge", *roles, *beside], rows)


def _choices(report: Report, group: str) -> str:
    found = report.choices[group]
    rows = [
        [
            task,
            f"{100 * each['best core']:.1f}",
            f"{100 * each['best core and ridge']:.1f}",
            *(_mean(each["regret"][rule]) for rule in (*RULES, ORACLE)),
        ]
        for task, each in {**found["tasks"], "mean": found["mean"]}.items()
    ]
    return table(["task", "best core, %", "and ridge, %", *RULES, ORACLE], rows)


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
    for name, plan in PLANS.items():
        made = [report.made[each] for each in dict.fromkeys(trainings(name))]
        learned = f"{plan.data}, {'odd' if plan.parity else 'even'} classes" if plan.data else "-"
        is_trained = made[0]["loss"] is not None
        rows.append(
            [
                f"`{name}`",
                plan.encoder,
                plan.method,
                " and ".join(f"`{teacher}`" for teacher in plan.teachers) or learned,
                f"{plan.schedule.steps} x {plan.schedule.batch}" if is_trained else "-",
                str(len(made)),
                ", ".join(f"{each['loss']:.3f}" for each in made) if is_trained else "-",
                duration(sum(each["seconds"] for each in made)),
            ]
        )
    head = ["core", "encoder", "by", "of", "steps x images", "seeds", "last losses"]
    return table([*head, "processor time"], rows)


def _mean(values: dict[str, float] | None) -> str:
    return str(Mean(**values)) if values else "-"


def _signed(values: dict[str, float]) -> str:
    return f"{100 * values['mean']:+.1f} ± {100 * values['half']:.1f}"
