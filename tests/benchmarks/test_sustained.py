"""The load's own machinery: what it counts, and what it must find out."""

from pathlib import Path

import pytest

from tests.benchmarks.clients import processes
from tests.benchmarks.sustained.answers import OK, OVERLOADED, Answer, codes
from tests.benchmarks.sustained.arrivals import MIX, Operation, Segment, arrivals
from tests.benchmarks.sustained.book import Book
from tests.benchmarks.sustained.load import PROCESSES, Load
from tests.benchmarks.sustained.seconds import seconds
from tests.faults.checker import Checker
from tests.faults.servers import Servers
from unlearn_server.failpoints import ENVIRONMENT, Failpoint


def test_who_is_refused_is_told_when_to_come_again_and_what_is_acknowledged_is_done(
    tmp_path: Path,
) -> None:
    """The server stands still over the first request: more calls come than may wait."""
    servers = Servers(tmp_path)
    slow = {ENVIRONMENT: f"{Failpoint.ACCEPT_STORED}=sleep:4@1"}
    with servers.up(slow), processes(PROCESSES) as pool:
        book = Book(servers.address, people=300)
        answers = Load(servers.address, book, pool).run(
            [Segment("a few", 40, 0.5), Segment("too many", 2500, 0.8)]
        )
        assert codes(answers).keys() == {OK, OVERLOADED}
        refusals = [answer for answer in answers if answer.code == OVERLOADED]
        assert all(answer.retry for answer in refusals)
        checker = Checker(servers.address, book.told, servers.data_dir / "log")
        assert checker.check().mismatches == ()
        # Had one of those that were refused been added, the checker would have seen it.
        refused = next(each for each in refusals if each.operation is Operation.ADD)
        book.enter([refused._replace(code=OK)])
        assert checker.check().mismatches


def test_calls_come_at_the_rates_and_shares_that_are_said() -> None:
    due = list(arrivals([Segment("slow", 100, 50), Segment("fast", 1000, 50)], seed=1))
    times = [at for at, _ in due]
    assert times == sorted(times)
    assert sum(at < 50 for at in times) == pytest.approx(5000, rel=0.1)
    assert sum(at >= 50 for at in times) == pytest.approx(50_000, rel=0.1)
    for operation, share in MIX.items():
        assert sum(each is operation for _, each in due) == pytest.approx(share * len(due), rel=0.1)


def test_a_second_knows_what_waits_at_its_end() -> None:
    answers = [
        Answer(Operation.PREDICT, due, answered, code)
        for due, answered, code in [(0.1, 0.2, OK), (0.5, 2.5, OVERLOADED), (1.5, 1.6, OK)]
    ]
    first, second = seconds(answers, carried_out=[(0.2, 1.5), (0.3, 9.0)])
    assert (first.due, first.ok, first.waiting, first.open) == (2, 1, 1, 2)
    assert (second.due, second.ok, second.waiting, second.open) == (1, 1, 1, 1)
    assert (first.p50, second.p50) == (pytest.approx(1.05), pytest.approx(0.1))
