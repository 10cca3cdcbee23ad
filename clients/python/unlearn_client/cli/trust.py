"""What commands that verify are told to trust, and the files that they read and keep."""

from pathlib import Path

import click

from unlearn_client.cli.outputs import writing
from unlearn_client.files import replace
from unlearn_client.verification import (
    MAX_FILE_BYTES,
    Keyring,
    Log,
    VerificationError,
    Witness,
    Witnesses,
    open_log,
    read_trusted,
)

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

witnesses_option = click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="VKEY",
    help="A witness that must have cosigned the log, by its verifier key; repeat.",
)

wanted_option = click.option(
    "--witnesses",
    "wanted",
    type=click.IntRange(min=1),
    help="How many of those witnesses are enough. Default: all of them.",
)


def read_witnesses(verifier_keys: tuple[str, ...], wanted: int | None) -> Witnesses:
    """The witnesses of the two options.

    Raises:
        click.BadParameter: one is malformed, or more are wanted than named.
    """
    try:
        known = [Witness.read(key) for key in verifier_keys]
        return Witnesses(known, len(known) if wanted is None else wanted)
    except VerificationError as error:
        raise click.BadParameter(str(error), param_hint="--witness") from error


def read_key(path: Path) -> Keyring:
    """The keyring in the file of ``--key``.

    Raises:
        click.BadParameter: it holds none.
    """
    try:
        return read_trusted(read_file(path))
    except VerificationError as error:
        raise click.BadParameter(f"{path}: {error}", param_hint="--key") from error


def find_log(place: str, timeout: float) -> Log:
    """The log of ``--log``.

    Raises:
        click.BadParameter: it is no folder and no URL.
    """
    if "://" not in place and not Path(place).is_dir():
        raise click.BadParameter(f"{place} is no folder and no URL", param_hint="--log")
    return open_log(place, timeout)


def read_file(path: Path) -> bytes:
    """No more of a file than is needed to see that it is too much.

    Raises:
        click.BadParameter: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise click.BadParameter(f"{path} cannot be read: {error.strerror}") from error


def replace_file(path: Path, content: bytes) -> None:
    """As ``files.replace``.

    Raises:
        click.BadParameter: it cannot be written.
    """
    with writing(path):
        replace(path, content)
