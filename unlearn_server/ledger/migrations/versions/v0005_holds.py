"""Holds, extensions and refusals."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """No request from before was held, extended or refused."""
    op.add_column("erasures", sa.Column("extend_time", sa.BigInteger()))
    op.add_column("erasures", sa.Column("extension_reason", sa.String()))
    op.add_column("erasures", sa.Column("first_due_time", sa.BigInteger()))
    op.add_column("erasures", sa.Column("refusal_ground", sa.String()))
    op.add_column("erasures", sa.Column("refusal_leaf", sa.BigInteger()))
    op.create_index("ix_erasures_refusal_leaf", "erasures", ["refusal_leaf"], unique=True)
    late = sa.text("complete_time > due_time")
    op.create_index(
        "ix_erasures_late", "erasures", ["key"], sqlite_where=late, postgresql_where=late
    )
    op.create_table(
        "holds",
        sa.Column("key", KEY, nullable=False),
        sa.Column("hold_id", sa.String(length=36), nullable=False),
        sa.Column("subject_hash", sa.LargeBinary()),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("place_time", sa.BigInteger(), nullable=False),
        sa.Column("lift_time", sa.BigInteger()),
        sa.PrimaryKeyConstraint("key", name="pk_holds"),
        sa.UniqueConstraint("hold_id", name="uq_holds_hold_id"),
    )
    op.create_index("ix_holds_subject_hash", "holds", ["subject_hash"])
