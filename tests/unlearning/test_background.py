"""The priority of threads, as the kernel tells it."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import get_native_id

import pytest

from unlearning.background import give_way


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all threads have one priority")
def test_only_the_thread_that_asks_gives_way() -> None:
    before = niceness()
    with ThreadPoolExecutor(1, initializer=give_way) as background:
        assert background.submit(niceness).result() == min(before + 10, 19)
    assert niceness() == before
