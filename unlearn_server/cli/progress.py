"""A bar on the terminal for what takes long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def bar(counted: str) -> Iterator[Callable[[int, int], None]]:
    """A bar, gone at the end, and none where stderr is no terminal.

    Yields a function that takes how many are done, and of how many.
    """
    console = Console(stderr=True)
    columns = TextColumn(counted), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as shown:
        task = shown.add_task(counted, total=None)
        yield lambda done, of: shown.update(task, completed=done, total=of)
