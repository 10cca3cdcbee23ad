"""Verifies certificates of erasure without trusting, or asking, the server that made them.

It follows published specifications only: DSSE and in-toto Statement v1 for the
certificate, RFC 6962 and C2SP's signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof and
tlog-tiles for the log, Sigstore's bundle v0.3. It shares no code with the server.

from unlearn_client.verification import read_trusted, verify

(report,) = verify({"c.sigstore.json": bundle}, read_trusted(public_key_pem)).reports
if not report.refusal:
    print(report.proven, report.statement.claims, report.not_covered)
"""

from unlearn_client.errors import VerificationError
from unlearn_client.verification.certificates import Report, Verification, verify
from unlearn_client.verification.cosignatures import Cosignature, Witness, Witnesses
from unlearn_client.verification.evidence import MAX_FILE_BYTES
from unlearn_client.verification.keyrings import Keyring, read_trusted
from unlearn_client.verification.notes import Checkpoint, read_checkpoint
from unlearn_client.verification.openings import Opening
from unlearn_client.verification.statements import Statement
from unlearn_client.verification.tiles import Log, open_log

__all__ = [
    "MAX_FILE_BYTES",
    "Checkpoint",
    "Cosignature",
    "Keyring",
    "Log",
    "Opening",
    "Report",
    "Statement",
    "Verification",
    "VerificationError",
    "Witness",
    "Witnesses",
    "open_log",
    "read_checkpoint",
    "read_trusted",
    "verify",
]
