"""``unlearn-replay``: do these rows make what a certificate commits to?"""

import sys
from collections.abc import Iterator, Sequence
from hmac import compare_digest
from pathlib import Path

import click

from unlearning.commitment import description
from unlearning.errors import InvalidInputError, UnlearningError
from unlearning.replay.certificates import Claim
from unlearning.replay.exports import Export, Source
from unlearning.replay.recomputing import Recomputed, recompute

_DIFFERENT = 1
_CANNOT = 2

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("export", type=_FILE)
@click.option(
    "--certificate",
    type=_FILE,
    help="The certificate of the erasure that made the release: .dsse.json or .sigstore.json.",
)
@click.version_option(package_name="unlearn-server")
def main(export: Path, certificate: Path | None) -> None:
    """Recompute the commitments of a release from the rows in EXPORT, without a server.

    unlearn-server export makes such a file. With a certificate: exits with 0 if its commitments
    are those of these rows, with 1 if they are not, with 2 if it cannot be told. Its signature is
    not checked; unlearn verify does that.

    \b
    Example:
        unlearn-replay pets.npz --certificate certificate-17.dsse.json
    """
    try:
        claim = Claim.read(certificate) if certificate else None
        with Export.open(export) as opened:
            source, rows = opened.source, opened.rows
            if claim:
                _check_release(claim, source)
            recomputed = recompute(source.objective, source.salt, opened.blocks())
    except UnlearningError as error:
        click.echo(f"unlearn-replay: {error}", err=True)
        sys.exit(_CANNOT)
    for line in _told(source, rows, recomputed):
        click.echo(line)
    if claim:
        differences = list(_differences(claim, source, rows, recomputed))
        for line in _verdict(claim, differences):
            click.echo(line)
        sys.exit(_DIFFERENT if differences else 0)


def _check_release(claim: Claim, source: Source) -> None:
    if claim.release != source.name:
        raise InvalidInputError(
            "--certificate",
            f"is of {claim.release}, and the export of {source.name}",
            "only the release that serves has its salt; compare the certificate that made it",
        )


def _told(source: Source, rows: int, recomputed: Recomputed) -> Iterator[str]:
    """What was recomputed."""
    yield f"{source.name}, of {rows} rows"
    yield f"state commitment:   {recomputed.state.hex()}"
    if recomputed.weights:
        yield f"weights commitment: {recomputed.weights.hex()}"
    else:
        yield (
            "weights commitment: not recomputed; with noise, or from iterations (TANGENT), weights "
            "are no function of the rows to the last bit"
        )


def _differences(claim: Claim, source: Source, rows: int, recomputed: Recomputed) -> Iterator[str]:
    """In what the certificate says otherwise; never of which row."""
    if not compare_digest(claim.objective, description(source.objective)):
        yield "the objective: the certificate is of a model that is described otherwise"
    if claim.remaining != rows:
        yield f"the rows: the certificate says that {claim.remaining} remain, and here are {rows}"
    if not compare_digest(claim.state, recomputed.state):
        yield f"the state commitment: the certificate has {claim.state.hex()}"
    if recomputed.weights and not compare_digest(claim.weights, recomputed.weights):
        yield f"the weights commitment: the certificate has {claim.weights.hex()}"


def _verdict(claim: Claim, differences: Sequence[str]) -> Iterator[str]:
    if differences:
        yield f"DIFFERENT from the certificate of {claim.erasure} in"
        yield from (f"- {difference}" for difference in differences)
        yield (
            "A row missing, added or changed, another salt, or another objective: a commitment "
            "does not tell which."
        )
    else:
        yield f"EQUAL to the certificate of {claim.erasure}: {claim.remaining} rows remain"
    yield "Who signed the certificate was not checked; unlearn verify does that."
