"""What a monitor keeps between two looks at a server."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from unlearn_client.errors import VerificationError
from unlearn_client.files import replace
from unlearn_client.verification.encoding import json_object
from unlearn_client.verification.members import Members

MAX_MEMORY_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Memory:
    """What was seen so far; of a first look, nothing.

    Attributes:
        checkpoint: the log's note, all of whose entries were verified; empty: none.
        seen: how many entries that is.
        keys: fingerprints of the log's keys.
        cores: the digest of the core of each model that a certificate named, by its name.
        software: the digest of the server's software in the newest certificate.
        refused: erasures that the server's operator refused.
    """

    checkpoint: str = ""
    seen: int = 0
    keys: tuple[str, ...] = ()
    cores: dict[str, str] = field(default_factory=dict)
    software: str = ""
    refused: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> "Memory":
        """The memory in a file; an empty one where there is none.

        Raises:
            VerificationError: it is damaged.
            OSError: it cannot be read.
        """
        if not path.exists():
            return cls()
        try:
            return cls._parse(path.read_bytes())
        except VerificationError as error:
            raise VerificationError(
                f"{path} is damaged ({error}): restore it, or move it away to begin anew"
            ) from None

    @classmethod
    def _parse(cls, content: bytes) -> "Memory":
        document = json_object(content, "the state", MAX_MEMORY_BYTES)
        members, cores = Members(document, "the state"), document.get("cores")
        if not isinstance(cores, dict) or not all(isinstance(each, str) for each in cores.values()):
            raise members.error("cores", "an object of texts")
        return cls(
            members.lines("checkpoint"),
            members.count("seen"),
            tuple(members.texts("keys")),
            cores,
            members.lines("software"),
            tuple(members.texts("refused")),
        )

    def write(self, path: Path) -> None:
        """Puts it in the place of a file.

        Raises:
            OSError: it cannot be written; the old one is still there.
        """
        replace(path, json.dumps(asdict(self), indent=1).encode())
