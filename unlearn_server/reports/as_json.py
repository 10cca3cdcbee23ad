"""A report as JSON: what it lists, and what it counts from that. Names as in certificates."""

import json
from math import isinf
from typing import Any

from unlearn_server import software, statements
from unlearn_server.domain import Hold
from unlearn_server.reports import summary
from unlearn_server.reports.report import Closed, KeyUse, Open, Report
from unlearn_server.statements import rfc3339
from unlearning.information import InformationBound

KIND = "urn:unlearn:report:v1"

MEASURES = {
    "nats": "nats",
    "gaussianDp": "gaussian_dp",
    "epsilon": "epsilon",
    "delta": "delta",
    "attackAccuracy": "attack_accuracy",
    "attackTpr": "attack_tpr",
    "differencingGaussianDp": "differencing_gaussian_dp",
}
"""Of an information bound: what a certificate calls it, and its attribute."""


def render(report: Report) -> bytes:
    """The document, in UTF-8."""
    return json.dumps(_document(report), ensure_ascii=False, allow_nan=False).encode()


def _document(report: Report) -> dict[str, Any]:
    period = report.period
    return {
        "type": KIND,
        "startTime": rfc3339(period.start),
        "endTime": rfc3339(period.end),
        "makeTime": rfc3339(period.made),
        "requests": _requests(report),
        "outcomes": _effects(report),
        "largestBounds": _largest(report),
        "assumptions": summary.assumptions(report.closed),
        "notCovered": list(statements.NOT_COVERED),
        "closed": [_closed(each) for each in report.closed],
        "open": [_open(each, report) for each in report.open],
        "holds": [_hold(each) for each in report.holds],
        "log": {
            "origin": report.log.origin,
            "size": report.log.size,
            "root": report.log.root,
            "checkpoint": report.log.checkpoint,
            "keys": [_key(key) for key in report.log.keys],
        },
        "software": {"name": software.NAME, **vars(report.software)},
    }


def _hold(hold: Hold) -> dict[str, Any]:
    return {
        "name": f"holds/{hold.hold_id}",
        "reason": hold.reason,
        "placeTime": rfc3339(hold.place_time),
        "liftTime": None if hold.lift_time is None else rfc3339(hold.lift_time),
    }


def _requests(report: Report) -> dict[str, int]:
    counts = summary.requests(report)
    return {
        "openAtStart": counts.open_at_start,
        "received": counts.received,
        "onTime": counts.on_time,
        "late": counts.late,
        "cancelled": counts.cancelled,
        "refused": counts.refused,
        "openAtEnd": counts.open_at_end,
        "nothingMatched": counts.nothing_matched,
        "overdue": counts.overdue,
        "held": counts.held,
    }


def _effects(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "model": f"models/{each.model_id}",
            "method": each.method.name,
            "outcomes": each.outcomes,
            "erasedSamples": each.erased_samples,
            "largestNats": _number(each.largest_nats),
        }
        for each in summary.effects(report.closed)
    ]


def _largest(report: Report) -> dict[str, Any]:
    """Of each measure; none of them if nothing was erased."""
    found = {}
    for name, attribute in MEASURES.items():
        extreme = summary.largest(report.closed, attribute)
        if extreme:
            found[name] = {
                "value": _number(extreme.value),
                "certificate": _certificate(extreme.certificate),
            }
    return found


def _closed(each: Closed) -> dict[str, Any]:
    request = {
        "erasure": f"erasures/{each.request_id}",
        "state": each.state.name,
        "late": each.is_late,
        "regulation": each.regulation,
        "receiveTime": rfc3339(each.receive_time),
        "dueTime": rfc3339(each.due_time),
        "closeTime": rfc3339(each.close_time),
    }
    if each.certificate is not None:
        request["certificate"] = _certificate(each.certificate)
    if each.bound is None or each.method is None:
        return request
    return {
        **request,
        "model": f"models/{each.model_id}",
        "method": each.method.name,
        "erasedSamples": each.erased_samples,
        "bound": _bound(each.bound),
    }


def _bound(bound: InformationBound) -> dict[str, Any]:
    numbers = {name: _number(getattr(bound, attribute)) for name, attribute in MEASURES.items()}
    return {**numbers, "cohort": bound.cohort}


def _open(each: Open, report: Report) -> dict[str, Any]:
    return {
        "erasure": f"erasures/{each.request_id}",
        "state": each.state.name,
        "receiveTime": rfc3339(each.receive_time),
        "dueTime": rfc3339(each.due_time),
        "daysLeft": summary.days(each.due_time - report.period.seen),
        "certificates": [_certificate(index) for index in each.certificates],
    }


def _key(key: KeyUse) -> dict[str, Any]:
    return {
        "keyId": key.key_id,
        "verifierKey": key.verifier_key,
        "firstIndex": key.first,
        "lastIndex": key.last,
        "certificates": key.certificates,
    }


def _certificate(index: int | None) -> str | None:
    return None if index is None else f"certificates/{index}"


def _number(value: float) -> float | str:
    return "Infinity" if isinf(value) else value
