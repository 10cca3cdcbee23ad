"""What tests of several packages share."""

from collections.abc import Iterator

import pytest

from tests.postgres import Postgres, binaries, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests that want one."""
    if binaries() is None:
        pytest.skip("PostgreSQL's initdb and postgres are not installed")
    with running() as postgres:
        yield postgres
