"""Threads that work while others answer."""

import os
import sys
from threading import get_native_id

_NICENESS = 10
"""Such a thread takes a tenth of a processor that another one wants."""


def give_way() -> None:
    """Lets other threads go before this one from now on, where a thread has a priority."""
    if sys.platform == "linux":
        thread = get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, niceness)
