"""Wakes those who wait for something to change in the database."""

from threading import Condition


class Announcements:
    """A bell that many may wait for; whoever missed a ring is not made to wait."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._rings = 0

    @property
    def rings(self) -> int:
        """How often the bell has rung; read it before looking at the database."""
        return self._rings

    def ring(self) -> None:
        """Wakes everyone."""
        with self._condition:
            self._rings += 1
            self._condition.notify_all()

    def wait(self, heard: int, timeout: float) -> int:
        """Waits for a ring after ``heard``, at most ``timeout`` seconds; returns ``rings``."""
        with self._condition:
            self._condition.wait_for(lambda: self._rings > heard, timeout)
            return self._rings
