import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from unlearn_server.domain import ErasureState, Retention
from unlearn_server.metrics import LedgerSnapshot, Metrics

EMPTY = LedgerSnapshot({}, None, {}, {})


def snapshot_due_in(hours: float) -> LedgerSnapshot:
    return LedgerSnapshot(
        erasures={ErasureState.PENDING: 2},
        next_due=datetime.now(UTC) + timedelta(hours=hours),
        samples={("m", Retention.USER): 7, ("m", Retention.CORE): 3},
        releases={"m": 4},
        overdue=2,
        late=5,
    )


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_mirrors_the_ledger() -> None:
    metrics = Metrics(lambda: snapshot_due_in(1))
    assert value(metrics, "unlearn_erasures", state="PENDING") == 2
    assert value(metrics, "unlearn_erasures", state="NEEDS_OPERATOR") == 0
    assert value(metrics, "unlearn_samples", model="m", retention="USER") == 7
    assert value(metrics, "unlearn_samples", model="m", retention="CORE") == 3
    assert value(metrics, "unlearn_releases_total", model="m") == 4
    assert value(metrics, "unlearn_erasures_overdue") == 2
    assert value(metrics, "unlearn_erasures_late_total") == 5


def test_reads_the_ledger_anew_at_each_scrape() -> None:
    snapshots = iter([EMPTY, snapshot_due_in(1)])
    metrics = Metrics(lambda: next(snapshots))
    assert value(metrics, "unlearn_erasures", state="PENDING") == 0
    assert value(metrics, "unlearn_erasures", state="PENDING") == 2


@pytest.mark.parametrize("hours", [3, -3])
def test_time_until_the_next_due_date_goes_below_zero(hours: int) -> None:
    metrics = Metrics(lambda: snapshot_due_in(hours))
    assert value(metrics, "unlearn_next_due_seconds") == pytest.approx(hours * 3600, abs=60)


def test_next_due_is_absent_when_nothing_is_open() -> None:
    assert value(Metrics(lambda: EMPTY), "unlearn_next_due_seconds") is None


def test_servers_of_one_process_do_not_share_counts() -> None:
    first, second = Metrics(lambda: EMPTY), Metrics(lambda: EMPTY)
    first.requests.labels("m", "OK").inc()
    assert value(first, "unlearn_requests_total", method="m", code="OK") == 1
    assert value(second, "unlearn_requests_total", method="m", code="OK") is None


def test_names_the_version_that_runs() -> None:
    assert b'unlearn_build_info{version="' in generate_latest(Metrics(lambda: EMPTY).registry)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("snapshot", [lambda: EMPTY, lambda: snapshot_due_in(1)])
def test_follows_prometheus_conventions(snapshot: Callable[[], LedgerSnapshot]) -> None:
    metrics = Metrics(snapshot)
    metrics.requests.labels("/unlearn.v1.ModelService/GetModel", "OK").inc()
    metrics.request_seconds.labels("/unlearn.v1.ModelService/GetModel").observe(0.1)
    metrics.rounding_margin.observe(0.01)
    checked = subprocess.run(
        ["promtool", "check", "metrics"],  # noqa: S607 # wherever it is installed
        input=generate_latest(metrics.registry),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


RULES = Path(__file__).parents[2] / "deploy/prometheus/rules.yml"

TROUBLE = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {{series: 'unlearn_erasures{{state="NEEDS_OPERATOR"}}', values: '{stuck}x120'}}
      - {{series: 'unlearn_erasures_overdue', values: '{overdue}x120'}}
      - {{series: 'unlearn_next_due_seconds', values: '{left}x120'}}
      - {{series: 'unlearn_erasures_late_total', values: '3x60 {late}x60'}}
      - {{series: 'unlearn_holder{{job="unlearn", instance="a"}}', values: '0x120'}}
      - {{series: 'unlearn_holder{{job="unlearn", instance="b"}}', values: '1x60 {holds}x60'}}
    promql_expr_test:
      - expr: count(ALERTS{{alertstate="firing"}}) or vector(0)
        eval_time: 90m
        exp_samples: [{{labels: '{{}}', value: {alerts}}}]
"""


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize(
    ("stuck", "overdue", "left", "late", "holds", "alerts"),
    [
        (0, 0, 864000, 3, 1, 0),
        (1, 0, 864000, 3, 1, 1),
        (0, 1, 864000, 3, 1, 1),
        (0, 0, 172800, 3, 1, 1),
        (0, 0, 864000, 4, 1, 1),
        (0, 0, 864000, 3, 0, 1),
        (2, 1, -10, 4, 0, 5),
    ],
)
def test_alerts_fire_for_each_trouble_and_not_without(
    tmp_path: Path, stuck: int, overdue: int, left: int, late: int, holds: int, alerts: int
) -> None:
    test = tmp_path / "test.yml"
    fill = {"stuck": stuck, "overdue": overdue, "left": left, "late": late}
    fill |= {"holds": holds, "alerts": alerts}
    test.write_text(TROUBLE.format(rules=RULES, **fill))
    checked = subprocess.run(
        ["promtool", "test", "rules", str(test)],  # noqa: S607 # wherever it is installed
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alerts_are_about_metrics_that_there_are() -> None:
    exposed = generate_latest(Metrics(lambda: snapshot_due_in(1)).registry).decode()
    named = set(re.findall(r"unlearn_[a-z_]+", re.sub(r"#.*|summary.*", "", RULES.read_text())))
    assert len(named) == 5
    assert all(f"\n{name}" in exposed for name in named)
