"""A word to stop is heard whenever it comes, and whoever says it."""

import os
import signal
from collections.abc import Callable, Iterator
from threading import Event, Thread, get_ident

import pytest

from unlearn_server.stopping import Stopping


@pytest.fixture
def stopping() -> Iterator[Stopping]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield Stopping()
    for number, handler in before.items():
        signal.signal(number, handler)


def hears(stopping: Stopping, say: Callable[[], None]) -> bool:
    """Whether a wait that has begun ends; its test would hang if it did not."""
    thread = Thread(target=lambda: Event().wait(0.2) or say())
    thread.start()
    stopping.wait()
    thread.join()
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_process(stopping: Stopping, number: signal.Signals) -> None:
    assert hears(stopping, lambda: os.kill(os.getpid(), number))


def test_a_signal_that_does_not_interrupt_the_wait(stopping: Stopping) -> None:
    """As one is that comes just before the wait: the handler only runs once the wait is over."""
    assert hears(stopping, lambda: signal.pthread_kill(get_ident(), signal.SIGTERM))


def test_a_thread(stopping: Stopping) -> None:
    assert hears(stopping, stopping.say)


def test_what_was_said_before_the_wait(stopping: Stopping) -> None:
    signal.raise_signal(signal.SIGTERM)
    stopping.wait()
