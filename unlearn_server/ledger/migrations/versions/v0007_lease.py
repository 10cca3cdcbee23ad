"""The lease of the server that erases, where there are several."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Nobody holds it."""
    leases = op.create_table(
        "leases",
        sa.Column("key", KEY, nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.String()),
        sa.PrimaryKeyConstraint("key", name="pk_leases"),
    )
    op.bulk_insert(leases, [{"key": 1, "fence": 0, "beat": 0, "address": None}])
