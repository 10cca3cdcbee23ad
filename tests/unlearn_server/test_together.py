from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from time import sleep

import pytest

from unlearn_server.together import Together

TOGETHER = ["a", "b", "c", "d", "e"]


class Work:
    """Does nothing until it is let; remembers what was asked for at once."""

    def __init__(self, answer: Callable[[str], str | Exception] = str.upper) -> None:
        self.groups: list[list[str]] = []
        self.may_go_on = Event()
        self._answer = answer

    def __call__(self, tasks: Sequence[str]) -> list[str | Exception]:
        self.groups.append(list(tasks))
        assert self.may_go_on.wait(60)
        return [self._answer(task) for task in tasks]


def send(work: Work, tasks: Sequence[str]) -> list[Future[str]]:
    """A first task that is at work, and others that all wait for it."""
    together = Together(work)
    pool = ThreadPoolExecutor(1 + len(tasks))
    first = pool.submit(together.do, "first")
    while not work.groups:
        sleep(0.001)
    sent = []
    for task in tasks:
        sent.append(pool.submit(together.do, task))
        while len(together._waiting) < len(sent):
            sleep(0.001)
    pool.shutdown(wait=False)
    return [first, *sent]


def test_those_who_come_meanwhile_are_served_together_in_their_order() -> None:
    work = Work()
    sent = send(work, TOGETHER)
    assert not any(future.done() for future in sent)
    work.may_go_on.set()
    assert [future.result(60) for future in sent] == ["FIRST", *"ABCDE"]
    assert work.groups == [["first"], TOGETHER]


def test_one_alone_waits_for_nobody() -> None:
    work = Work()
    work.may_go_on.set()
    together = Together(work)
    assert [together.do("a"), together.do("b")] == ["A", "B"]
    assert work.groups == [["a"], ["b"]]


def test_an_error_that_is_ones_answer_is_that_ones_alone() -> None:
    work = Work(lambda task: KeyError(task) if task in "bd" else task)
    sent = send(work, TOGETHER)
    work.may_go_on.set()
    for task, future in zip(TOGETHER, sent[1:], strict=True):
        if task in "bd":
            with pytest.raises(KeyError, match=task):
                future.result(60)
        else:
            assert future.result(60) == task


def test_an_error_of_the_work_is_everybodys_and_the_next_are_served() -> None:
    def answer(task: str) -> str:
        if task == "d":
            raise OSError
        return task

    work = Work(answer)
    first, *sent = send(work, TOGETHER)
    work.may_go_on.set()
    assert first.result(60) == "first"
    for future in sent:
        with pytest.raises(OSError):  # noqa: PT011 # this very one
            future.result(60)
    assert Together(work).do("e") == "e"


def test_many_at_once_each_get_their_own_answer() -> None:
    together = Together(lambda tasks: [task * task for task in tasks])
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(together.do, range(2000))) == [n * n for n in range(2000)]
