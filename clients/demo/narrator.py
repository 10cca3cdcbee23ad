"""Says what is being done while it is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Narrator:
    """A line on the console for each thing done; use it as a context manager."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            TextColumn("[dim]{task.fields[so_far]}[/]"),
            TimeElapsedColumn(),
            console=console,
        )

    def __enter__(self) -> "Narrator":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    @contextmanager
    def doing(self, what: str, of: int = 0) -> Iterator[Callable[[int], None]]:
        """Shows work; yields what tells how many of ``of`` are done."""
        task = self._progress.add_task(what, total=None, so_far="")
        yield lambda done: self._progress.update(task, so_far=f"{done:,} of {of:,}")
        self._progress.update(task, total=1, completed=1)
