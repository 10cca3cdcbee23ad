"""AuditService."""

import grpc

from unlearn.v1 import audit_pb2, audit_pb2_grpc
from unlearn_server.auditing import Auditor
from unlearn_server.services import fields, messages


class AuditService(audit_pb2_grpc.AuditServiceServicer):
    """Shows that a model is what its samples make it."""

    def __init__(self, auditor: Auditor) -> None:
        self._auditor = auditor

    def AuditModel(
        self, request: audit_pb2.AuditModelRequest, context: grpc.ServicerContext
    ) -> audit_pb2.AuditModelResponse:
        """Recomputes and compares."""
        del context
        model_id = fields.model_id(request.model, "model")
        return messages.audit(self._auditor.audit(model_id, fields.salt(request.salt, "salt")))
