"""ErasureService: holds, which suspend a subject's erasure (GDPR Art. 17(3))."""

from collections.abc import Iterator

from unlearn.v1.erasure_pb2 import (
    GetHoldRequest,
    Hold,
    LiftHoldRequest,
    ListHoldsRequest,
    PlaceHoldRequest,
)
from unlearn_client.connection import Connection, pages
from unlearn_client.names import hold_name


class HoldCalls(Connection):
    """Calls about holds; each raises ``UnlearnError`` where it is refused or late."""

    def place_hold(self, subject_id: str, reason: str) -> Hold:
        """Suspends a person's erasure in all models, until the hold is lifted.

        A request that touches the person waits, whole, as HELD, and stays due.

        Args:
            subject_id: whom it is on; the server keeps a keyed hash while the hold lasts.
            reason: why, in a line for people, which is kept: put no personal data into it.

        Raises:
            UnlearnError: the service refused it, or did not answer in time.
        """
        request = PlaceHoldRequest(subject_id=subject_id, reason=reason)
        return self._call(self._erasures.PlaceHold, request)

    def get_hold(self, hold: str) -> Hold:
        """The hold as it stands.

        Raises:
            UnlearnError: NOT_FOUND if there is none.
        """
        return self._call(self._erasures.GetHold, GetHoldRequest(name=hold_name(hold)))

    def list_holds(self) -> Iterator[Hold]:
        """Every hold, lifted ones too, fetched page by page.

        Raises:
            UnlearnError: a page was refused, or did not come in time.
        """
        for page in pages(
            lambda token: self._call(self._erasures.ListHolds, ListHoldsRequest(page_token=token))
        ):
            yield from page.holds

    def lift_hold(self, hold: str) -> Hold:
        """Ends a hold; requests that no other one applies to go on.

        Raises:
            UnlearnError: NOT_FOUND if there is none.
        """
        return self._call(self._erasures.LiftHold, LiftHoldRequest(name=hold_name(hold)))
