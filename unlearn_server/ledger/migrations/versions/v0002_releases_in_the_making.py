"""Releases that are still being solved for."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A release has no report before it is solved, and one at a time is being solved for."""
    with op.batch_alter_table("releases") as table:
        table.alter_column("solve", existing_type=sa.JSON(), nullable=True)
    op.create_index(
        "ix_releases_solving",
        "releases",
        ["model_key"],
        unique=True,
        sqlite_where=sa.text("state = 'SOLVING'"),
        postgresql_where=sa.text("state = 'SOLVING'"),
    )
