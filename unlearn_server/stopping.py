"""The word to stop: from a signal, or from a thread.

A signal's handler runs between two lines of the main thread, whichever they are. So it may take no
lock that this thread could hold, as ``Event.set`` does; ``SimpleQueue.put`` takes none. A signal
that comes just before a wait begins, or to another thread, does not end the wait in Python: so no
wait is long.
"""

import signal
from queue import Empty, SimpleQueue

_LOOK_AGAIN_SECONDS = 0.5


class Stopping:
    """Waits in the main thread, where it must be made."""

    def __init__(self) -> None:
        """Answers SIGTERM and SIGINT from now on."""
        self._said = SimpleQueue[None]()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.say())

    def say(self) -> None:
        """It is time to stop."""
        self._said.put(None)

    def wait(self) -> None:
        """Until it was said."""
        while True:
            try:
                return self._said.get(timeout=_LOOK_AGAIN_SECONDS)
            except Empty:
                continue
