"""What tests ask of a server and of the client's command about certificates."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from unlearn.v1.audit_pb2 import Certificate
from unlearn.v1.erasure_pb2 import Erasure, Outcome
from unlearn_client.cli import main
from unlearn_client.verification.notes import Checkpoint, read_checkpoint

SALT = bytes(range(32))


@dataclass(frozen=True)
class Certified:
    """An erasure that was carried out, one outcome of it, and what certifies that."""

    erasure: Erasure
    outcome: Outcome
    certificate: Certificate
    statement: dict[str, Any]

    @property
    def told(self) -> dict[str, Any]:
        predicate: dict[str, Any] = self.statement["predicate"]
        return predicate


def payload(certificate: Certificate) -> bytes:
    return base64.b64decode(json.loads(certificate.envelope)["payload"])


def erase(server: Any, model_id: str, selection: Any, **fields: Any) -> Certified:
    fields = {"models": [model_id], "commitment_salt": SALT, **fields}
    accepted = server.client.create_erasure(selection, **fields)
    erasure = server.client.wait_for_erasure(accepted.name)
    assert erasure.state == Erasure.SUCCEEDED, erasure.state_reason
    [outcome] = [each for each in erasure.outcomes if each.model == f"models/{model_id}"]
    certificate = server.client.get_certificate(outcome.certificate)
    return Certified(erasure, outcome, certificate, json.loads(payload(certificate)))


def checkpoint_of(server: Any) -> Checkpoint:
    return read_checkpoint(server.client.get_checkpoint().note)


def unlearn(*words: object) -> Result:
    """The client's command, which has no server to ask."""
    return CliRunner().invoke(main, ["--address", "127.0.0.1:1", *map(str, words)])


def written(certificate: Certificate, folder: Path) -> list[Path]:
    """The three files of a certificate, as ``unlearn certificates get`` writes them."""
    stem = folder / certificate.name.replace("certificates/", "certificate-")
    files = {
        f"{stem}.dsse.json": certificate.envelope,
        f"{stem}.sigstore.json": certificate.bundle,
        f"{stem}.tlog-proof": certificate.tlog_proof,
    }
    for path, content in files.items():
        Path(path).write_bytes(content)
    return [Path(path) for path in files]


def described() -> set[str]:
    """What docs/certificate.md names in code spans."""
    text = (Path(__file__).parents[2] / "docs" / "certificate.md").read_text()
    return set(text.split("`")[1::2])


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths(inner, f"{prefix}.{name}" if prefix else name)
    else:
        yield prefix
        if isinstance(value, list):
            for inner in value:
                yield from paths(inner, f"{prefix}[]") if isinstance(inner, dict) else ()


def check_documented(statements: Sequence[dict[str, Any]]) -> None:
    found = {path for statement in statements for path in paths(statement)}
    assert len(found) > 5
    assert found - described() == set()
