"""``unlearn-server core build``: new cores, from images that nobody can ask to have forgotten."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unlearn_server.cli import options
from unlearn_server.cli.failures import told
from unlearn_server.cli.progress import bar
from unlearn_server.cores import library
from unlearning.cores import folder

if TYPE_CHECKING:
    from unlearning.cores.package import Package

config = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="What to make, in TOML, as docs/pretraining.md has it.",
)


@click.group()
def build() -> None:
    """Train a core, and write it as a package that ``core add`` installs.

    A run that was stopped goes on from its last checkpoint when it is called again.
    """


@build.command()
@config
def cids(config: Path) -> None:
    """Train by contrast: images against changed images, and against others of their class.

    \b
    Example:
        unlearn-server core build cids --config clothes.toml
    """
    # Torch takes seconds to import, and other commands do without.
    from unlearning.pretraining import building, configuration

    with told(), bar("steps") as progress:
        wanted = configuration.read(configuration.CidsWanted, config)
        _write(building.cids(wanted, progress), wanted.package)


@build.command()
@config
@options.data_dir
@options.cores
def consolidate(config: Path, data_dir: Path, cores: Path | None) -> None:
    """Train a student of several cores, on images without labels.

    \b
    Example:
        unlearn-server core build consolidate --config both.toml --data-dir ./data
    """
    from unlearning.pretraining import building, configuration

    with told(), bar("steps") as progress:
        wanted = configuration.read(configuration.ConsolidationWanted, config)
        made = building.consolidated(wanted, library(data_dir, cores), progress)
        _write(made, wanted.package)


def _write(package: "Package", place: Path) -> None:
    folder.write(package, place)
    click.echo(f"{place} is a core package; its digest is {package.digest}")
