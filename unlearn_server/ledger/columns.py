"""How the domain's values stand in columns, the same in SQLite and PostgreSQL."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import isinf
from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect, Enum, Integer, LargeBinary, TypeDecorator

from unlearning.information import InformationBound
from unlearning.rounding import SolveReport

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Key = BigInteger().with_variant(Integer, "sqlite")
"""A row's own number; SQLite counts up only what is called INTEGER."""


def names(kind: type[StrEnum]) -> Enum:
    """A column of an enumeration's names, as plain text that may grow."""
    return Enum(kind, native_enum=False, length=16)


class Bytes(LargeBinary):
    """Bytes, handed to the driver as they are: wrapping each costs as much as sealing it."""

    def bind_processor(self, dialect: Dialect) -> None:  # noqa: ARG002, D102 # SQLAlchemy's
        return None


class Instant(TypeDecorator[datetime]):
    """An aware datetime, as microseconds since 1970: exact, and ordered as numbers are."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002, D102 # SQLAlchemy's
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002, D102 # SQLAlchemy's
        return None if value is None else EPOCH + value * MICROSECOND


class Solve(TypeDecorator[SolveReport]):
    """A solve's report, as JSON."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: SolveReport | None, dialect: Dialect) -> Any:  # noqa: ARG002, D102 # SQLAlchemy's
        return None if value is None else _finite(vars(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> SolveReport | None:  # noqa: ARG002, D102 # SQLAlchemy's
        if value is None:
            return None
        return SolveReport(
            solver=value["solver"],
            gradient_norm=float(value["gradient_norm"]),
            distance_bound=float(value["distance_bound"]),
            correctly_rounded=value["correctly_rounded"],
        )


class Bound(TypeDecorator[InformationBound]):
    """An information bound, as JSON."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: InformationBound | None, dialect: Dialect) -> Any:  # noqa: ARG002, D102 # SQLAlchemy's
        return None if value is None else _finite(vars(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> InformationBound | None:  # noqa: ARG002, D102 # SQLAlchemy's
        if value is None:
            return None
        cohort, assumptions = value.pop("cohort"), tuple(value.pop("assumptions"))
        numbers = {name: float(number) for name, number in value.items()}
        return InformationBound(**numbers, cohort=cohort, assumptions=assumptions)


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    """Writes infinity, for which JSON has no number, as a word that ``float`` reads."""
    return {
        name: "Infinity" if isinstance(value, float) and isinf(value) else value
        for name, value in record.items()
    }
