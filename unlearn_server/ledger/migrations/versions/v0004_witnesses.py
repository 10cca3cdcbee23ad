"""What witnesses signed of the log."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No witness has signed a log from before."""
    op.add_column("logs", sa.Column("cosignatures", sa.String(), nullable=False, server_default=""))
    op.add_column(
        "logs", sa.Column("cosigned_sizes", sa.JSON(), nullable=False, server_default="{}")
    )
    op.add_column("logs", sa.Column("witnessed", sa.String()))
