"""Commands whose --help shows how to use them: each must bring an example."""

from typing import Any

import click


def write_verbatim(formatter: click.HelpFormatter, heading: str, text: str) -> None:
    """A section of help whose lines are kept as they are."""
    with formatter.section(heading):
        for line in text.splitlines():
            formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Command(click.Command):
    """A command with an example."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Writes the example below the options."""
        write_verbatim(formatter, "Example", self.example)


class Group(click.Group):
    """A group with an example, of commands with examples."""

    command_class = Command

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Writes the example below the commands."""
        write_verbatim(formatter, "Example", self.example)
