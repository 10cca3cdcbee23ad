"""What a report says to people: headings, sentences, tables and figures, in no form yet."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from unlearn_server import software, statements
from unlearn_server.domain import ErasureState
from unlearn_server.reports import figures, register, summary, words
from unlearn_server.reports.figures import Figure
from unlearn_server.reports.report import KeyUse, Report
from unlearn_server.reports.summary import Requests


@dataclass(frozen=True)
class Table:
    """Rows of text; ``aligned`` has r for right or l for left for each column."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    aligned: str


@dataclass(frozen=True)
class Section:
    """A heading, and what stands below it in this order; ``verbatim`` keeps its lines."""

    title: str
    text: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    points: tuple[str, ...] = ()
    verbatim: str = ""


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        facts: what, when and by whom.
        verdict: the answer in a sentence or two.
        numbers: the few that matter most, each with what it counts.
        sections: the report.
        register: the rows behind it.
        note: what its columns hold.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    verdict: str
    numbers: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    register: Table
    note: str


_MEASURES = (
    ("Information left, in nats", "nats", False),
    ("μ of Gaussian differential privacy", "gaussian_dp", False),
    ("ε of (ε, δ)-differential privacy", "epsilon", False),
    ("δ at that ε", "delta", False),
    ("Accuracy of the best membership attack", "attack_accuracy", True),
    ("Its true positives at 1 % false ones", "attack_tpr", True),
    ("μ for one who kept the release before", "differencing_gaussian_dp", False),
)
"""Bounds: in words, the attribute, and whether it is a share."""

_READING = Section(
    "How to read this",
    points=(
        "A request belongs to the period in which it was closed: carried out, cancelled or "
        "refused. All of its certificates count there.",
        "Times are in UTC. Days have 24 hours; those left are rounded down, bounds up.",
        "A state is that of the time the report was made: earlier ones are not kept.",
        "When a request was due, its certificate says too: one calendar month after receipt "
        "(Art. 12(3) GDPR), unless that was extended.",
        "Nobody is named here: the server keeps the ids of people as keyed hashes alone.",
    ),
)


def document(report: Report) -> Document:
    """All of it."""
    counts = summary.requests(report)
    return Document(
        title="Report on erasures",
        facts=_facts(report),
        verdict=_verdict(counts),
        numbers=_numbers(report, counts),
        sections=(
            _requests(report, counts),
            _timeliness(report, counts),
            _effects(report),
            _bounds(report),
            _open(report),
            *_holds(report),
            _evidence(report),
            _limits(report),
            _READING,
        ),
        register=Table(register.HEAD, register.Rows(report.closed), register.ALIGNED),
        note=register.NOTE,
    )


def _facts(report: Report) -> tuple[tuple[str, str], ...]:
    period, made_by = report.period, report.software
    until = f"{words.minute(period.start)} until before {words.minute(period.end)}"
    facts = [("Period", until), ("Made", words.minute(period.made))]
    if period.seen < period.end:
        facts.append(("State", "preliminary: made before the period ended"))
    return (
        *facts,
        ("Log", report.log.origin),
        ("Software", f"{software.NAME} {made_by.version}"),
    )


def _verdict(counts: Requests) -> str:
    if counts.carried_out == 0:
        done = "No request was carried out in this period."
    elif counts.late == 0:
        done = f"All {words.counted(counts.carried_out, 'request')} carried out were on time."
        if counts.carried_out == 1:
            done = "The 1 request carried out was on time."
    else:
        done = (
            f"Of {words.counted(counts.carried_out, 'request')} carried out, "
            f"{words.count(counts.on_time)} were on time and {words.count(counts.late)} late."
        )
    if counts.open_at_end == 0:
        return f"{done} None was open at the end."
    verb = "was" if counts.open_at_end == 1 else "were"
    left = f"{words.counted(counts.open_at_end, 'request')} {verb} open at the end"
    overdue = words.count(counts.overdue) if counts.overdue else "none"
    return f"{done} {left}, {overdue} overdue."


def _numbers(report: Report, counts: Requests) -> tuple[tuple[str, str], ...]:
    erased = sum(each.erased_samples for each in report.closed)
    return (
        (words.count(counts.carried_out), "carried out"),
        (words.count(counts.late), "of them late"),
        (words.count(counts.open_at_end), "open at the end"),
        (words.count(erased), "samples erased"),
    )


def _requests(report: Report, counts: Requests) -> Section:
    rows = [
        ("Open at the start", counts.open_at_start),
        ("Received", counts.received),
        ("Carried out on time", -counts.on_time),
        ("Carried out late", -counts.late),
        ("Cancelled", -counts.cancelled),
        ("Refused", -counts.refused),
        ("Open at the end", counts.open_at_end),
    ]
    balance = tuple((name, words.count(number).replace("-", "−")) for name, number in rows)
    laws = Counter(each.regulation for each in summary.each_request(report.closed))
    named = tuple((law or "none named", words.count(n)) for law, n in sorted(laws.items()))
    tables = [Table(("", "Requests"), balance, "lr")]
    if named:
        tables.append(Table(("Regulation named by the request", "Closed"), named, "lr"))
    text = (
        f"{words.counted(counts.nothing_matched, 'request')} carried out found nothing to erase "
        "when received and so changed no model and have no certificate.",
    )
    return Section("Requests", tables=tuple(tables), text=text if counts.nothing_matched else ())


def _timeliness(report: Report, counts: Requests) -> Section:
    taken = summary.days_taken(report.closed)
    if taken is None:
        return Section("Time", text=("No request was carried out.",))
    left = min(summary.days_left(report.closed))
    shortest, middle, longest = map(words.days_taken, taken)
    rows = (
        ("Shortest from receipt to completion", shortest),
        ("Median", middle),
        ("Longest", longest),
        ("Least time left when completed", words.days_left(left)),
    )
    text = "A request is on time if its last certificate was signed by the time it was due."
    late = "In the register, late ones have less than 0 days left." if counts.late else ""
    return Section(
        "Time",
        text=(f"{text} {late}".strip(),),
        figures=(figures.over_time(report), figures.time_left(report)),
        tables=(Table(("Requests carried out", "Days"), rows, "lr"),),
    )


def _effects(report: Report) -> Section:
    rows = tuple(
        (
            str(number),
            f"models/{each.model_id}",
            each.method.name,
            words.count(each.outcomes),
            words.count(each.erased_samples),
            words.bound(each.largest_nats),
        )
        for number, each in enumerate(summary.effects(report.closed), 1)
    )
    if not rows:
        return Section("What was done", text=("No model was changed.",))
    head = ("No.", "Model", "Method", "Outcomes", "Samples", "Largest nats")
    text = (
        "EXACT and ZERO leave the weights of a model that never held the samples, to the bit; "
        "NEWTON comes as near as its bound says. Every outcome has a certificate.",
    )
    return Section("What was done", text=text, tables=(Table(head, rows, "rllrrr"),))


def _bounds(report: Report) -> Section:
    closed = report.closed
    title = "What can still be learnt"
    if summary.largest(closed, "nats") is None:
        return Section(title, text=("Nothing was erased.",))
    rows = []
    for name, measure, is_share in _MEASURES:
        found = summary.largest(closed, measure)
        if found:
            shown = words.percent(found.value) if is_share else words.bound(found.value)
            rows.append((name, shown, words.certificate(found)))
    lost = summary.unbounded(closed)
    text = (
        "Upper bounds on what the release that followed tells of the samples erased, to one who "
        "knows everything else: the largest of the period, and the certificate that states it. "
        "An accuracy of 50.0 % is a coin toss.",
        *((f"{words.counted(lost, 'outcome')} without any limit.",) if lost else ()),
    )
    return Section(title, text, tables=(Table(("Bound", "Largest", "Cert."), tuple(rows), "lrr"),))


def _open(report: Report) -> Section:
    if not report.open:
        return Section("Open at the end", text=("No request was open.",))
    seen = report.period.seen
    states = Counter(each.state for each in report.open)
    rows = tuple(
        (
            each.request_id,
            _state(each.state),
            words.date(each.receive_time),
            words.date(each.due_time),
            words.days_left(summary.days(each.due_time - seen)),
            ", ".join(map(str, each.certificates)) or words.NONE,
        )
        for each in report.open
    )
    head = ("Erasure", "State", "Received", "Due", "Days left", "Certificates")
    parts = ", ".join(f"{words.count(n)} {_state(state)}" for state, n in sorted(states.items()))
    text = f"As they stand now: {parts}. Days are counted from {words.minute(seen)}."
    return Section("Open at the end", text=(text,), tables=(Table(head, rows, "llllrl"),))


def _holds(report: Report) -> tuple[Section, ...]:
    """Those of the period, if there were any."""
    rows = tuple(
        (
            words.date(each.place_time),
            words.NONE if each.lift_time is None else words.date(each.lift_time),
            each.reason,
        )
        for each in report.holds
    )
    text = (
        "Each suspends the erasures of a person. A request that touches one waits, whole, and "
        "stays due.",
    )
    table = Table(("Placed", "Lifted", "Reason"), rows, "lll")
    return (Section("Holds", text=text, tables=(table,)),) if rows else ()


def _state(state: ErasureState) -> str:
    return state.lower().replace("_", " ")


def _evidence(report: Report) -> Section:
    log = report.log
    indices = [each.certificate for each in report.closed if each.certificate is not None]
    certified = (
        f"{words.counted(len(indices), 'certificate')}, of index {indices[0]} to {indices[-1]}"
        if indices
        else "none"
    )
    facts = (
        ("Certificates of the period", certified),
        ("Origin of the log", log.origin),
        ("Its entries", words.count(log.size)),
        ("Root of their tree", log.root),
        ("Software", f"{software.NAME} {report.software.version}"),
        ("SHA-256 of its code", report.software.digest),
    )
    keys = tuple(row for key in log.keys for row in _key(key))
    text = (
        "Each outcome is certified in a log to which entries can only be added, and whose head "
        "is signed below. Whoever keeps a head will notice a log that was rewritten. The "
        "register names the certificates; the operator hands them out, and unlearn verify checks "
        "them without the operator's help, given a key below.",
    )
    return Section(
        "Evidence",
        text=text,
        tables=(Table(("", ""), facts, "ll"), Table(("Keys in force", ""), keys, "ll")),
        verbatim=log.checkpoint,
    )


def _key(key: KeyUse) -> list[tuple[str, str]]:
    span = (
        f"From {key.first} on, in force" if key.last is None else f"From {key.first} to {key.last}"
    )
    return [
        (span, f"signed {words.counted(key.certificates, 'certificate')} of the period"),
        ("Key id", key.key_id),
        ("Verifier key", key.verifier_key),
    ]


def _limits(report: Report) -> Section:
    stood = summary.assumptions(report.closed)
    rows = tuple((text, words.count(count)) for text, count in stood.items())
    return Section(
        "What this does not say",
        tables=(Table(("Assumption that bounds rest on", "Outcomes"), rows, "lr"),) if rows else (),
        text=("Not covered by any certificate:",),
        points=statements.NOT_COVERED,
    )
