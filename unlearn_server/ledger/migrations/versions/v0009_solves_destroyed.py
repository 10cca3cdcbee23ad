"""How a destroyed release was solved for goes with it; older versions kept it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_releases = sa.table("releases", sa.column("state"), sa.column("solve"))


def upgrade() -> None:
    """Takes it away, of releases that were destroyed before."""
    op.execute(sa.update(_releases).where(_releases.c.state == "DESTROYED").values(solve=sa.null()))
