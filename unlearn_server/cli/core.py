"""``unlearn-server core``: the networks that models are created on."""

import json
from pathlib import Path

import click

from unlearn_server.cli import options
from unlearn_server.cli.core_build import build
from unlearn_server.cli.failures import told
from unlearn_server.cores import library
from unlearning.cores import folder
from unlearning.cores.adapters import packer


@click.group()
def core() -> None:
    """The cores that models are created on: data that never need forgetting."""


core.add_command(build)


@core.command("list")
@options.data_dir
@options.cores
def list_(data_dir: Path, cores: Path | None) -> None:
    """List the cores there are: those that come with this installation, and those added.

    \b
    Example:
        unlearn-server core list --data-dir ./data
    """
    with told():
        for name in library(data_dir, cores).names():
            click.echo(name)


@core.command()
@click.argument("name")
@options.data_dir
@options.cores
def inspect(name: str, data_dir: Path, cores: Path | None) -> None:
    """Check the core NAME as a whole, and show its digest and its description, as JSON.

    \b
    Example:
        unlearn-server core inspect efficientnet-lite0 --data-dir ./data
    """
    with told():
        package = library(data_dir, cores).find(name).open()
    document = {"name": name, "digest": package.digest, "description": package.description}
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


@core.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@options.data_dir
@options.cores
@click.option("--name", help="What to call it; by default what SOURCE is called.")
@click.option(
    "--from",
    "source_format",
    help="SOURCE is no package: huggingface for a folder that save_pretrained wrote, torch-export "
    "for a program (.pt2), or what another adapter reads.",
)
@click.option(
    "--trained-on",
    help="With --from: the data that SOURCE was trained on; you declare that none of them ever "
    "needs forgetting.",
)
@click.option(
    "--class",
    "classes",
    multiple=True,
    help="With --from torch-export: what the last output's logits are called, if it is a head's; "
    "repeat in order.",
)
def add(
    source: Path,
    data_dir: Path,
    cores: Path | None,
    name: str | None,
    source_format: str | None,
    trained_on: str | None,
    classes: tuple[str, ...],
) -> None:
    """Install the core package in the folder SOURCE, whole or not at all.

    Its digest must be right, and its adapter must be able to compute it. A server that runs
    already can use it at once. Nothing in it is run: not even a pickle of weights is read.

    \b
    Example:
        unlearn-server core add ./my-core --data-dir ./data
        unlearn-server core add ./vit --from huggingface --trained-on ImageNet --data-dir ./data
    """
    if bool(source_format) != bool(trained_on):
        raise click.UsageError("--from and --trained-on go together")
    if classes and not source_format:
        raise click.UsageError("--class needs --from: a package says its classes itself")
    path = source.resolve()
    name = name or (path.name if path.is_dir() else path.stem)
    with told():
        if source_format and trained_on:
            found = packer(source_format, name).pack(source, name, trained_on, classes)
        else:
            found = folder.read(source, name).open()
        library(data_dir, cores).add(found)
    click.echo(f"{found.name} is installed; its digest is {found.digest}")


@core.command()
@click.argument("name")
@click.argument("package", type=click.Path(path_type=Path))
@options.data_dir
@options.cores
def export(name: str, package: Path, data_dir: Path, cores: Path | None) -> None:
    """Write the core NAME as a package into the new folder PACKAGE.

    \b
    Example:
        unlearn-server core export efficientnet-lite0 ./lite0 --data-dir ./data
    """
    with told():
        found = library(data_dir, cores).find(name).open()
        folder.write(found, package)
    click.echo(f"{name} is in {package}; its digest is {found.digest}")
