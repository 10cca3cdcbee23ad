"""What a certificate says of the release after an erasure. Signatures are not looked at.

A certificate is a DSSE envelope (secure-systems-lab/dsse, envelope.md) of an in-toto statement,
or a Sigstore bundle that holds one; docs/certificate.md describes the statement.
"""

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from unlearning.errors import InvalidInputError

PREDICATE = "urn:unlearn:erasure:v1"


@dataclass(frozen=True)
class Claim:
    """What a certificate says.

    Attributes:
        erasure: the name of the request.
        release: the name of the release that came of it.
        objective: SHA-256 of the model's description (see ``commitment``).
        remaining: rows that the release was made of.
        state, weights: its commitments.
    """

    erasure: str
    release: str
    objective: bytes
    remaining: int
    state: bytes
    weights: bytes

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a file; raises InvalidInputError if it is no certificate, or of no release."""
        try:
            told = _predicate(json.loads(path.read_bytes()))
            release = told["release"]
            if "stateCommitment" not in release:
                problem = "commits to no release: the model served none after the erasure"
                raise InvalidInputError("--certificate", problem, "there is nothing to compare")
            return cls(
                str(told["erasure"]),
                str(release["after"]),
                bytes.fromhex(told["model"]["digest"]),
                int(told["samples"]["remaining"]),
                bytes.fromhex(release["stateCommitment"]),
                bytes.fromhex(release["weightsCommitment"]),
            )
        except InvalidInputError:
            raise
        except OSError as error:
            problem = f"cannot be read: {error}"
            raise InvalidInputError("--certificate", problem, "name a file") from error
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            problem = "is no certificate of an erasure"
            fix = "give a .dsse.json or a .sigstore.json"
            raise InvalidInputError("--certificate", problem, fix) from error


def _predicate(document: Mapping[str, Any]) -> Mapping[str, Any]:
    envelope = document.get("dsseEnvelope", document)
    statement = json.loads(b64decode(envelope["payload"], validate=True))
    if statement["predicateType"] != PREDICATE:
        raise ValueError("a statement of another type")
    predicate: Mapping[str, Any] = statement["predicate"]
    return predicate
