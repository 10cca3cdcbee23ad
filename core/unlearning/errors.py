"""What can go wrong in the mathematics, in words that hold no personal data."""


class UnlearningError(Exception):
    """Root of every error this package raises on purpose."""


class InvalidInputError(UnlearningError, ValueError):
    """A caller's value cannot be used.

    Attributes:
        field: which input it was.
        row: index of the offending row of a batch, if it was one row's fault.
    """

    def __init__(self, field: str, problem: str, fix: str, row: int | None = None) -> None:
        super().__init__(f"{field}: {problem}; {fix}")
        self.field = field
        self.row = row


class CapacityError(UnlearningError):
    """More rows than the statistics hold exactly.

    Attributes:
        fits: how many of the offered rows, in order, would still fit.
    """

    def __init__(self, fits: int, limit: str) -> None:
        super().__init__(f"only {fits} of these rows still fit: {limit}")
        self.fits = fits


class NotSolvableError(UnlearningError):
    """No solution of the accuracy promised could be found or proven; nothing was released."""


class InconsistentStateError(UnlearningError):
    """What is kept in memory contradicts itself: a fault of the machine or of this package."""


class CoreError(UnlearningError):
    """A core, or a package of one, cannot be used as it is."""

    def __init__(self, core: str, problem: str, fix: str) -> None:
        super().__init__(f"core {core}: {problem}; {fix}")
