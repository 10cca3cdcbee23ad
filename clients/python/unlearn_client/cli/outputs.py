"""Files to write: what cannot be is said before anything is asked or done."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click


class Output(click.Path):
    """A file in a folder that is there, its name's ending one of those given, if any is."""

    def __init__(self, *endings: str, allow_dash: bool = False) -> None:
        super().__init__(dir_okay=False, writable=True, allow_dash=allow_dash, path_type=Path)
        self._endings = endings

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path; fails with what is wrong with it."""
        super().convert(value, param, ctx)
        path = Path(value)
        if not path.parent.is_dir():
            self.fail(f"there is no folder {path.parent}; make it first", param, ctx)
        if not (path.exists() or os.access(path.parent, os.W_OK)):
            self.fail(f"the folder {path.parent} is not yours to write in", param, ctx)
        if self._endings and path.suffix.lower() not in self._endings:
            self.fail(f"{path} does not end in {', '.join(self._endings)}", param, ctx)
        return path


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises click.BadParameter if a file cannot be written after all."""
    try:
        yield
    except OSError as error:
        raise click.BadParameter(f"{path} cannot be written: {error.strerror}") from error
