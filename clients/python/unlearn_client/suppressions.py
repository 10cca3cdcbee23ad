"""ErasureService: suppressions, which keep out who was erased."""

from unlearn.v1.erasure_pb2 import LiftSuppressionRequest
from unlearn_client.connection import Connection
from unlearn_client.names import model_name


class SuppressionCalls(Connection):
    """Calls about suppressions; each raises ``UnlearnError`` where it is refused or late."""

    def lift_suppression(self, model: str, subject_id: str, reason: str) -> None:
        """Lets samples of a person who was erased from a model be added to it again.

        Args:
            model: its id or name.
            subject_id: who has come back.
            reason: why, in a line for people, which is kept: put no personal data into it.

        Raises:
            UnlearnError: NOT_FOUND if the person was never erased from it by name.
        """
        request = LiftSuppressionRequest(
            model=model_name(model), subject_id=subject_id, reason=reason
        )
        self._call(self._erasures.LiftSuppression, request)
