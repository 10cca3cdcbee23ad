"""What this was measured on."""

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from threadpoolctl import threadpool_info

PACKAGES = ("numpy", "scipy", "scikit-learn", "polars-ds", "grpcio")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True)
class Machine:
    """The machine and the libraries, in words and numbers."""

    cpu: str
    cores: int
    caches: dict[str, str]
    memory_gib: float
    system: str
    python: str
    packages: dict[str, str]
    blas: list[str]
    load: float

    @property
    def words(self) -> str:
        """One sentence of it."""
        caches = ", ".join(f"{name} {size}" for name, size in self.caches.items())
        packages = ", ".join(f"{name} {number}" for name, number in self.packages.items())
        return (
            f"{self.cpu}, {self.cores} cores ({caches}), {self.memory_gib:.0f} GiB, "
            f"{self.system}; Python {self.python}, {packages}; BLAS: {'; '.join(self.blas)}. "
            f"Load average when it began: {self.load:.1f}."
        )


def describe(packages: Sequence[str] = PACKAGES) -> Machine:
    """This machine, and the BLAS libraries that are loaded by now."""
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        caches=_caches(),
        memory_gib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        packages={name: version(name) for name in packages},
        blas=_blas(),
        load=os.getloadavg()[0],
    )


def commit() -> str:
    """What is checked out, and whether it was changed since."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    asked = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    return asked.stdout.strip() or "an unknown commit"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _caches() -> dict[str, str]:
    """Size of each cache of the first core, by its level and type."""
    caches = {}
    for folder in sorted(_CACHES.glob("index*")):
        level, kind, size = (
            (folder / name).read_text().strip() for name in ("level", "type", "size")
        )
        caches[f"L{level}{'' if kind == 'Unified' else kind[0].lower()}"] = size
    return caches


def _blas() -> list[str]:
    return [
        f"{pool['internal_api']} {pool['version']} of {Path(pool['filepath']).parent.name} "
        f"({pool.get('architecture', 'unknown')}, {pool['num_threads']} threads)"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
