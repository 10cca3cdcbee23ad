"""AuditService."""

import grpc

from unlearn.v1 import audit_pb2, audit_pb2_grpc
from unlearn_server.auditing import Auditor
from unlearn_server.evidence import Evidence
from unlearn_server.reports.reporting import FORMS, Reporter
from unlearn_server.services import fields, messages


class AuditService(audit_pb2_grpc.AuditServiceServicer):
    """Shows what was done, and that a model is what its samples make it."""

    def __init__(self, auditor: Auditor, evidence: Evidence, reporter: Reporter) -> None:
        self._auditor = auditor
        self._evidence = evidence
        self._reporter = reporter

    def GetCheckpoint(
        self, request: audit_pb2.GetCheckpointRequest, context: grpc.ServicerContext
    ) -> audit_pb2.Checkpoint:
        """Answers the log's signed head."""
        del request, context
        note, key = self._evidence.checkpoint()
        return audit_pb2.Checkpoint(note=note.encode(), verifier_key=str(key))

    def GetCertificate(
        self, request: audit_pb2.GetCertificateRequest, context: grpc.ServicerContext
    ) -> audit_pb2.Certificate:
        """Answers a certificate, with the proof that the log holds it."""
        del context
        index = fields.certificate_index(request.name)
        return messages.certificate(self._evidence.certificate(index))

    def ListCertificates(
        self, request: audit_pb2.ListCertificatesRequest, context: grpc.ServicerContext
    ) -> audit_pb2.ListCertificatesResponse:
        """Lists certificates in the order of the log."""
        del context
        request_id = fields.erasure_id(request.erasure, "erasure") if request.erasure else None
        model_id = fields.model_id(request.model, "model") if request.model else None
        scope = f"certificates+{request.erasure}+{request.model}"
        page = fields.Page.of(request.page_size, request.page_token, scope)
        # A page's keys count from 1, and the log's indices from 0.
        found = self._evidence.certificates(page.after - 1, page.size, request_id, model_id)
        return audit_pb2.ListCertificatesResponse(
            certificates=map(messages.certificate, found),
            next_page_token=page.next_token([each.certified.index + 1 for each in found]),
        )

    def GetConsistencyProof(
        self, request: audit_pb2.GetConsistencyProofRequest, context: grpc.ServicerContext
    ) -> audit_pb2.ConsistencyProof:
        """Proves that the log at one size begins that at another."""
        del context
        hashes = self._evidence.consistency_proof(request.first_size, request.second_size)
        return audit_pb2.ConsistencyProof(hashes=hashes)

    def AuditModel(
        self, request: audit_pb2.AuditModelRequest, context: grpc.ServicerContext
    ) -> audit_pb2.AuditModelResponse:
        """Recomputes and compares."""
        del context
        model_id = fields.model_id(request.model, "model")
        return messages.audit(self._auditor.audit(model_id, fields.salt(request.salt, "salt")))

    def GetReport(
        self, request: audit_pb2.GetReportRequest, context: grpc.ServicerContext
    ) -> audit_pb2.Report:
        """Reports on a period."""
        del context
        start, end = fields.period(request.start_time, request.end_time)
        media_type = fields.media_type(request.media_type, FORMS)
        content = self._reporter.report(start, end, media_type)
        return audit_pb2.Report(media_type=media_type, content=content)
