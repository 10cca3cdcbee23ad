"""What to forget, in the contract's words."""

from collections.abc import Iterable

from unlearn.v1 import erasure_pb2


class Selection:
    """Builds ``unlearn.v1.Selection`` messages."""

    @staticmethod
    def subjects(ids: Iterable[str]) -> erasure_pb2.Selection:
        """Every sample about these people."""
        return erasure_pb2.Selection(subjects=_identifiers(ids))

    @staticmethod
    def samples(ids: Iterable[str]) -> erasure_pb2.Selection:
        """These samples alone."""
        return erasure_pb2.Selection(samples=_identifiers(ids))

    @staticmethod
    def subject_hashes(hashes: Iterable[str]) -> erasure_pb2.Selection:
        """Every sample about the people behind these keyed hashes."""
        return erasure_pb2.Selection(subject_hashes=_identifiers(hashes))

    @staticmethod
    def all_user_data() -> erasure_pb2.Selection:
        """Every sample that may be erased; needs models named."""
        return erasure_pb2.Selection(all_user_data=True)


def _identifiers(ids: Iterable[str]) -> erasure_pb2.Identifiers:
    # A string is iterable too, and would ask to forget its letters.
    if isinstance(ids, str):
        raise TypeError("ids must be a collection of strings, not one string")
    return erasure_pb2.Identifiers(ids=ids)
