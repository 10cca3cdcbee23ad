"""``unlearn certificates``: fetch the evidence of what was erased."""

import re
from collections.abc import Iterable
from pathlib import Path

import click
from rich.table import Table

from unlearn.v1.audit_pb2 import Certificate
from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.failures import REFUSED
from unlearn_client.cli.outputs import writing
from unlearn_client.cli.reports import listing
from unlearn_client.cli.teaching import Group


class _BadAnswerError(click.ClickException):
    exit_code = REFUSED


@click.group(cls=Group, example="unlearn certificates list --model pets")
def certificates() -> None:
    """Fetch certificates of erasures; unlearn verify checks them."""


@certificates.command(
    "list",
    example="""\
unlearn certificates list
unlearn certificates list --erasure 3f0c8a52-9d0e-4a57-8a3e-0c5d1f6b7a90""",
)
@click.option("--erasure", default="", help="Only of this erasure.")
@click.option("--model", default="", help="Only about this model.")
@pass_app
def list_(app: App, erasure: str, model: str) -> None:
    """Show every certificate, or those of an erasure or a model."""
    app.show_all(app.client().list_certificates(erasure=erasure, model=model), _certificate_listing)


@certificates.command(
    example="""\
unlearn certificates get 17
unlearn certificates get certificates/17 --out evidence/"""
)
@click.argument("certificate")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="The folder to write to, made if it is not there; default: this one.",
)
@pass_app
def get(app: App, certificate: str, out: Path) -> None:
    """Write CERTIFICATE to three files, each of a published format.

    .dsse.json is the signed statement, .tlog-proof shows that the log holds it, and
    .sigstore.json is both in one.
    """
    found = app.client().get_certificate(certificate)
    paths = []
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for ending, content in _files(found).items():
            path = out / f"{_stem(found)}{ending}"
            path.write_bytes(content)
            paths.append(str(path))
    app.show({"name": found.name, "files": paths}, "\n".join(paths))


def _files(certificate: Certificate) -> dict[str, bytes]:
    return {
        ".dsse.json": certificate.envelope,
        ".sigstore.json": certificate.bundle,
        ".tlog-proof": certificate.tlog_proof,
    }


def _stem(certificate: Certificate) -> str:
    """``certificates/17`` as ``certificate-17``; a name is the server's, so it is checked."""
    match = re.fullmatch(r"certificates/([0-9]{1,19})", certificate.name)
    if match is None:
        raise _BadAnswerError("the server's certificate has no proper name")
    return f"certificate-{match[1]}"


def _certificate_listing(found: Iterable[Certificate]) -> Table:
    rows = ((each.name, each.erasure, _about(each)) for each in found)
    return listing(["Certificate", "Erasure", "About"], rows)


def _about(certificate: Certificate) -> str:
    return certificate.model or ("its refusal" if certificate.erasure else "the log's next key")
