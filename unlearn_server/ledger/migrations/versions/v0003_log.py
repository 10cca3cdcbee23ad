"""The transparency log, its keys, and what certificates commit to."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Outcomes from before the log have no certificate."""
    op.add_column("erasures", sa.Column("subject_root", sa.LargeBinary()))
    op.add_column("erasures", sa.Column("commitment_salt", sa.LargeBinary()))
    with op.batch_alter_table("outcomes") as table:
        table.add_column(sa.Column("leaf_index", sa.BigInteger()))
        table.create_unique_constraint("uq_outcomes_leaf_index", ["leaf_index"])
    op.create_table(
        "logs",
        sa.Column("key", KEY, nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("checkpoint", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_logs"),
    )
    op.create_table(
        "log_leaves",
        sa.Column("leaf_index", KEY, autoincrement=False, nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("leaf_index", name="pk_log_leaves"),
    )
    op.create_table(
        "log_nodes",
        sa.Column("number", KEY, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_log_nodes"),
    )
    op.create_table(
        "signing_keys",
        sa.Column("first_index", KEY, autoincrement=False, nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("endorsement", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("first_index", name="pk_signing_keys"),
    )
