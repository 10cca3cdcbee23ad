"""``unlearn verify``: is a certificate what it says? Nobody is asked but the files."""

from pathlib import Path

import click

from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.failures import ANSWER_IS_NO
from unlearn_client.cli.hexadecimal import SALT
from unlearn_client.cli.teaching import Command
from unlearn_client.cli.trust import (
    FILE,
    find_log,
    read_file,
    read_key,
    read_witnesses,
    replace_file,
    wanted_option,
    witnesses_option,
)
from unlearn_client.cli.verdicts import verdict_document, verdict_report
from unlearn_client.erasures import SALT_BYTES
from unlearn_client.errors import UnavailableError
from unlearn_client.verification import (
    Checkpoint,
    Keyring,
    Log,
    Opening,
    Report,
    Verification,
    VerificationError,
    Witnesses,
)
from unlearn_client.verification import verify as verify_files


@click.command(
    cls=Command,
    example="""\
unlearn verify certificate-17.dsse.json certificate-17.tlog-proof --key operator.pem
unlearn verify certificate-*.sigstore.json --key keys.json --checkpoint log.checkpoint \\
  --log https://unlearn.example/log
unlearn verify certificate-17.* --salt-file salt.hex --subject alice@example.org""",
)
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option(
    "--key",
    type=FILE,
    help="The key to trust, got from somebody you believe: a PEM file, a verifier key, or a "
    "keys.json. Default: the certificate's own, which proves nothing about its owner.",
)
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The log's checkpoint kept from before: the log must still agree with it. Then the "
    "newer one is kept there. It is made if it is not there.",
)
@click.option(
    "--log",
    help="The log itself, to make proofs from: a folder or an http(s) URL that holds its tiles.",
)
@witnesses_option
@wanted_option
@click.option(
    "--salt-file",
    type=FILE,
    help="32 bytes, or 64 hex digits: the salt given with the request. Opens the commitments.",
)
@click.option("--subject", "subjects", multiple=True, help="All subjects that were named; repeat.")
@click.option("--sample", "samples", multiple=True, help="All samples that were named; repeat.")
@pass_app
def verify(
    app: App,
    files: tuple[Path, ...],
    key: Path | None,
    checkpoint: Path | None,
    log: str | None,
    witnesses: tuple[str, ...],
    wanted: int | None,
    salt_file: Path | None,
    subjects: tuple[str, ...],
    samples: tuple[str, ...],
) -> None:
    """Verify the certificates in FILES, of one log: what is proven, claimed, not covered.

    A certificate is a DSSE envelope with its tlog-proof, or a Sigstore bundle, or all
    three; they are told apart by their content. Works offline unless --log is a URL.

    Exits with 0 if all are verified, with 1 if anything is refused, with 2 if the log cannot be
    had.
    """
    result = _verify(
        {str(path): read_file(path) for path in files},
        read_key(key) if key else None,
        find_log(log, app.timeout) if log else None,
        _saved(checkpoint),
        _opening(salt_file, subjects, samples),
        read_witnesses(witnesses, wanted),
    )
    for report in result.reports:
        app.show(verdict_document(report, result.pinned), verdict_report(report))
    if not result.verified:
        click.get_current_context().exit(ANSWER_IS_NO)
    if checkpoint and result.checkpoint:
        _keep(checkpoint, result.checkpoint)


def _verify(
    files: dict[str, bytes],
    trusted: Keyring | None,
    log: Log | None,
    saved: bytes | None,
    opening: Opening | None,
    witnesses: Witnesses,
) -> Verification:
    """As ``verify_files``; what it raises about the log refuses every file."""
    try:
        return verify_files(files, trusted, log, saved, opening, witnesses)
    except UnavailableError as error:
        raise click.UsageError(f"nothing was verified: {error}") from error
    except VerificationError as error:
        return Verification((Report(tuple(files), str(error)),), trusted is not None, None)


def _saved(path: Path | None) -> bytes | None:
    return read_file(path) if path is not None and path.exists() else None


def _opening(
    path: Path | None, subjects: tuple[str, ...], samples: tuple[str, ...]
) -> Opening | None:
    named = {"subject": frozenset(subjects), "sample": frozenset(samples)}
    ids = {kind: some for kind, some in named.items() if some}
    if (path is None) != (not ids):
        raise click.UsageError("--salt-file goes with --subject or --sample, and they with it")
    return Opening(_salt(path), ids) if path is not None else None


def _salt(path: Path) -> bytes:
    content = read_file(path)
    if len(content) == SALT_BYTES:
        return content
    return SALT.convert(content.decode("ascii", "replace").strip(), None, None)


def _keep(path: Path, checkpoint: Checkpoint) -> None:
    if path.exists() and path.read_bytes() == checkpoint.note:
        return
    replace_file(path, checkpoint.note)
    click.echo(f"Kept in {path}: the log's checkpoint at size {checkpoint.size}.", err=True)
