"""AuditService: certificates of erasures, and the log that holds them.

What these calls answer is evidence, not truth: ``unlearn_client.verification`` checks it.
"""

from collections.abc import Iterator

from unlearn.v1.audit_pb2 import (
    Certificate,
    Checkpoint,
    GetCertificateRequest,
    GetCheckpointRequest,
    GetConsistencyProofRequest,
    ListCertificatesRequest,
    ListCertificatesResponse,
)
from unlearn_client.connection import Connection, pages
from unlearn_client.names import certificate_name, erasure_name, model_name


class CertificateCalls(Connection):
    """Calls about certificates; each raises ``UnlearnError`` where it is refused or late."""

    def get_certificate(self, certificate: str) -> Certificate:
        """A certificate, with the proof that the log holds it.

        Raises:
            UnlearnError: NOT_FOUND if there is none.
        """
        request = GetCertificateRequest(name=certificate_name(certificate))
        return self._call(self._audits.GetCertificate, request)

    def list_certificates(self, *, erasure: str = "", model: str = "") -> Iterator[Certificate]:
        """Every certificate, fetched page by page.

        Args:
            erasure: only of this one.
            model: only about this one.

        Raises:
            UnlearnError: a page was refused, or did not come in time.
        """
        request = ListCertificatesRequest(
            erasure=erasure and erasure_name(erasure), model=model and model_name(model)
        )
        for page in pages(lambda token: self._page(request, token)):
            yield from page.certificates

    def _page(self, request: ListCertificatesRequest, token: str) -> ListCertificatesResponse:
        request.page_token = token
        return self._call(self._audits.ListCertificates, request)

    def get_checkpoint(self) -> Checkpoint:
        """What the log says that it holds now, signed.

        Raises:
            UnlearnError: the service refused it, or did not answer in time.
        """
        return self._call(self._audits.GetCheckpoint, GetCheckpointRequest())

    def get_consistency_proof(self, first: int, second: int) -> list[bytes]:
        """The hashes that show that the log's first entries are the beginning of more.

        Args:
            first: how many entries the log had.
            second: how many it had later.

        Raises:
            UnlearnError: the service refused it, e.g. because it never had so many.
        """
        request = GetConsistencyProofRequest(first_size=first, second_size=second)
        return list(self._call(self._audits.GetConsistencyProof, request).hashes)
