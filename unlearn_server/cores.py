"""Where cores are installed, and whether they are those that models were created on."""

from pathlib import Path

from unlearn_server.errors import StartupError
from unlearn_server.ledger import models
from unlearn_server.ledger.database import Database
from unlearning.cores import Library
from unlearning.errors import UnlearningError

CORES = "cores"
"""What the folder of core packages is called in a data directory."""


def library(data_dir: Path, folder: Path | None) -> Library:
    """The cores that come with this installation, and those in a folder, by default CORES."""
    return Library(folder or data_dir / CORES)


def check(database: Database, library: Library) -> None:
    """Compares each model's core, by digest, with the one installed; reads no weights.

    Raises:
        StartupError: if one is not installed, or is another one.
    """
    with database.read() as conn:
        pinned = {
            (model.core, model.objective.core_digest): model.model_id
            for model in models.every(conn)
        }
    for (core, digest), model_id in pinned.items():
        problem = _problem(library, core, digest)
        if problem:
            raise StartupError(
                f"--cores: model {model_id} was created on the core {core} of digest {digest}, "
                f"and {problem}; put that core back under its name"
            )


def _problem(library: Library, core: str, digest: str) -> str:
    try:
        found = library.find(core).digest
    except UnlearningError as error:
        return f"it cannot be found ({error})"
    return "" if found == digest else f"the one installed has the digest {found}"
