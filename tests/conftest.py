"""What tests of several packages share."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import Postgres, binaries, running

# A busy machine is no defect.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests that want one."""
    if binaries() is None:
        pytest.skip("PostgreSQL's initdb and postgres are not installed")
    with running() as postgres:
        yield postgres
