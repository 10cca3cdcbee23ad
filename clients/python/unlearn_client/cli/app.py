"""What every command shares: a client, and two ways to show a result."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console, RenderableType
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from unlearn_client.client import Client

Result = TypeVar("Result", bound=Message | Mapping[str, Any])


@dataclass(frozen=True)
class App:
    """The global options, and what follows from them."""

    address: str
    timeout: float
    as_json: bool

    def client(self) -> Client:
        """A client that is closed when the command ends."""
        client = Client(self.address, timeout=self.timeout)
        return click.get_current_context().with_resource(client)

    def show(self, result: Message | Mapping[str, Any], people: RenderableType) -> None:
        """One result: as JSON for programs, else as ``people`` would read it."""
        if self.as_json:
            click.echo(json.dumps(document(result)))
        else:
            # Data may hold brackets; they are no markup.
            Console(markup=False, highlight=False, emoji=False).print(people)

    def show_all(
        self, results: Iterable[Result], table: Callable[[Iterable[Result]], RenderableType]
    ) -> None:
        """Many results: a JSON document each, as they come, or one table for people."""
        if self.as_json:
            for result in results:
                self.show(result, "")
        else:
            Console(markup=False, highlight=False, emoji=False).print(table(results))

    @contextmanager
    def progress(self, doing: str) -> Iterator[Callable[[str], None]]:
        """Says on a terminal that long work goes on; yields what tells how far it is."""
        console = Console(stderr=True, markup=False, highlight=False)
        columns = SpinnerColumn(), TextColumn("{task.description}", markup=False)
        hidden = self.as_json or not console.is_terminal
        with Progress(
            *columns, TimeElapsedColumn(), console=console, transient=True, disable=hidden
        ) as bar:
            task = bar.add_task(doing, total=None)
            yield lambda so_far: bar.update(task, description=f"{doing}: {so_far}")


pass_app = click.make_pass_decorator(App)


def document(result: Message | Mapping[str, Any]) -> dict[str, Any]:
    """A result as JSON types; a field is there even if it is zero, so programs can rely on it."""
    if isinstance(result, Message):
        return MessageToDict(result, always_print_fields_with_no_presence=True)
    return dict(result)
