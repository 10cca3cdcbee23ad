"""Libraries that stand between a program and libc, compiled from the C files here."""

import shutil
import subprocess
from pathlib import Path

COMPILER = shutil.which("cc")

_SOURCES = Path(__file__).parent


def compiled(name: str, folder: Path) -> Path:
    """One of them, for LD_PRELOAD, put into a folder; needs a C compiler."""
    library = folder / f"{name}.so"
    source = _SOURCES / f"{name}.c"
    subprocess.run(
        [str(COMPILER), "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True
    )
    return library
