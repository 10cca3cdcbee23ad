"""``make demo``: real digits, a real server, three people who ask to be forgotten.

Prints a table of what was done and what it shows, saves ``demo.png``, and ends with 1
if any claim fails.
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

try:
    import picture
    import report
    from digits import DigitSet, load
    from local_server import ServerError, local_server
    from narrator import Narrator
    from rich.console import Console
    from story import Story, StoryError, Storyteller

    from unlearn_client import Client, UnlearnError
except ImportError as error:
    sys.exit(f"demo: {error.name} is not installed; run this instead: make demo")

PICTURE = Path("demo.png")
PATIENCE = 300.0
"""Seconds a call may take: a busy machine is no failure."""

INTERRUPTED = 130
"""The exit status that shells know Ctrl-C by."""


def main() -> int:
    """Runs the demo; the exit status."""
    console = Console(highlight=False)
    started = perf_counter()
    try:
        digits = load()
        story = _run(console, digits)
    except (ServerError, StoryError, UnlearnError) as error:
        console.print(f"demo: {error}", style="bold red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("demo: stopped; the server too")
        return INTERRUPTED
    report.show(console, story, len(digits.unseen))
    if story.failed:
        return 1
    picture.draw(story, digits).savefig(PICTURE)
    console.print(f"Saved {PICTURE} in {perf_counter() - started:.0f} s all in all.")
    return 0


def _run(console: Console, digits: DigitSet) -> Story:
    with Narrator(console) as narrator, ExitStack() as stack:
        with narrator.doing("Starting unlearn-server"):
            address = stack.enter_context(local_server())
        client = stack.enter_context(Client(address, timeout=PATIENCE))
        return Storyteller(client, digits, narrator).tell()


if __name__ == "__main__":
    sys.exit(main())
