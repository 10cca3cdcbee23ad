"""Does in one go what many ask for at the same time."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Condition
from typing import Generic, TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")


class Together(Generic[Task, Answer]):
    """While one caller works, those who come wait; then one of them does the work of them all.

    A transaction costs little more for thirty requests than for one. Nobody waits for company.
    """

    def __init__(self, do_all: Callable[[Sequence[Task]], Sequence[Answer | Exception]]) -> None:
        self._do_all = do_all
        self._turn = Condition()
        self._waiting: list[tuple[Task, Future[Answer]]] = []
        self._at_work = False

    def do(self, task: Task) -> Answer:
        """Answers a task, once the work of all in its group is done.

        Raises the error that is this task's answer, or the one that ended everybody's work.
        """
        future: Future[Answer] = Future()
        with self._turn:
            self._waiting.append((task, future))
            self._turn.wait_for(lambda: future.done() or not self._at_work)
            group = [] if future.done() else self._waiting
            if group:
                self._waiting, self._at_work = [], True
        if group:
            self._work(group)
        return future.result()

    def _work(self, group: Sequence[tuple[Task, Future[Answer]]]) -> None:
        try:
            answers = self._do_all([task for task, _ in group])
        except Exception as error:
            answers = [error] * len(group)
        with self._turn:
            for (_, future), answer in zip(group, answers, strict=True):
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
            self._at_work = False
            self._turn.notify_all()
