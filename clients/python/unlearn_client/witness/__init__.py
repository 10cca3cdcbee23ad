"""A witness: signs a log's checkpoint once, and only if it continues all that it signed before.

It speaks C2SP's tlog-witness and makes cosignatures of tlog-cosignature (Ed25519). It trusts
no log: it knows their keys, and what it signed of each of them last.
"""

from unlearn_client.errors import WitnessError
from unlearn_client.witness.cosigning import Cosigner
from unlearn_client.witness.keys import WitnessKey
from unlearn_client.witness.logs import Log, read_logs
from unlearn_client.witness.opening import opened
from unlearn_client.witness.serving import serving

__all__ = ["Cosigner", "Log", "WitnessError", "WitnessKey", "opened", "read_logs", "serving"]
