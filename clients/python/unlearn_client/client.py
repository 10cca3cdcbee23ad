"""The client: every call of the service that people and their programs make."""

from unlearn_client.audits import AuditCalls
from unlearn_client.certificates import CertificateCalls
from unlearn_client.erasures import ErasureCalls
from unlearn_client.holds import HoldCalls
from unlearn_client.inference import InferenceCalls
from unlearn_client.models import ModelCalls
from unlearn_client.reports import ReportCalls
from unlearn_client.suppressions import SuppressionCalls
from unlearn_client.valuation import ValuationCalls


class Client(
    ModelCalls,
    ErasureCalls,
    HoldCalls,
    SuppressionCalls,
    InferenceCalls,
    AuditCalls,
    CertificateCalls,
    ReportCalls,
    ValuationCalls,
):
    """A connection to one server; use it as a context manager.

    Every call has a deadline. Calls that are safe to repeat are repeated by gRPC
    when the server is unavailable; all failures are raised as ``UnlearnError``.
    Models and erasures are named by their bare id or by their full name.

    Args:
        address: ``host:port``.
        timeout: seconds until a call's deadline.
    """
