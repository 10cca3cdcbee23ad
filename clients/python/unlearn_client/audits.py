"""AuditService: does the model serve what its samples say?"""

from unlearn.v1.audit_pb2 import AuditModelRequest, AuditModelResponse
from unlearn_client.connection import Connection
from unlearn_client.names import model_name


class AuditCalls(Connection):
    """Calls that show what was done."""

    def audit_model(self, model: str, salt: bytes = b"") -> AuditModelResponse:
        """Recomputes a model from the samples it holds and compares.

        Args:
            model: the model.
            salt: 32 bytes; commitments of two models under one salt can be compared.
                Empty: the salt of the release served.

        Raises:
            UnlearnError: the service refused it, or did not answer in time.
        """
        request = AuditModelRequest(model=model_name(model), salt=salt)
        return self._call(self._audits.AuditModel, request)
