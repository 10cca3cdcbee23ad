"""``unlearn-server`` in processes of its own, forked from one that has loaded it: it takes long."""

import multiprocessing
import os

from unlearn_server.cli import main

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


def exit_code(*words: str, **environment: str) -> int | None:
    """Runs the command; a signal that ended it is negative."""
    process = _context.Process(target=_run, args=(words, environment))
    process.start()
    process.join()
    return process.exitcode


def _run(words: tuple[str, ...], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    main(words)
