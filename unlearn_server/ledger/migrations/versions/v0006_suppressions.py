"""Subjects that were erased, and may not be added again."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Nobody was barred before."""
    op.create_table(
        "suppressions",
        sa.Column("key", KEY, nullable=False),
        sa.Column("model_key", KEY, nullable=False),
        sa.Column("subject_hash", sa.LargeBinary(), nullable=False),
        sa.Column("erase_time", sa.BigInteger(), nullable=False),
        sa.Column("lift_time", sa.BigInteger()),
        sa.Column("lift_reason", sa.String()),
        sa.PrimaryKeyConstraint("key", name="pk_suppressions"),
        sa.ForeignKeyConstraint(
            ["model_key"], ["models.key"], name="fk_suppressions_model_key_models"
        ),
    )
    lasts = sa.text("lift_time IS NULL")
    op.create_index(
        "ix_suppressions_lasting",
        "suppressions",
        ["model_key", "subject_hash"],
        unique=True,
        sqlite_where=lasts,
        postgresql_where=lasts,
    )
