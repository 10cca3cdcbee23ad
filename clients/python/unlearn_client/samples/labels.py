"""Labels as people write them, as the indices that the contract wants."""

from collections.abc import Sequence


class Labels:
    """The classes of one model."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._indices = {name: index for index, name in enumerate(classes)}
        self._count = len(classes)

    def index(self, label: str) -> int:
        """The class of that name or, if none has it, of that index.

        Raises:
            ValueError: there is none; the text does not repeat the label.
        """
        if label in self._indices:
            return self._indices[label]
        if label.isascii() and label.isdigit() and int(label) < self._count:
            return int(label)
        raise ValueError(
            f"names no class of the model, nor an index below {self._count}; "
            "see `unlearn models get` for its classes"
        )
