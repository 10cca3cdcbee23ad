"""Ids of the secrets in use, and releases under keys of their own.

What older versions wrote stands under the empty id until the server, which has the keys, starts:
samples' keys that some master key wraps, and releases that are in clear. So do the salts of open
erasures, which need no mark.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_OLD = b""
_key_ids = sa.table("key_ids", sa.column("kind"), sa.column("key_id"))
_sample_keys = sa.table("sample_keys", sa.column("master_id"))
_releases = sa.table("releases", *map(sa.column, ("key", "salt", "payload")))
_release_keys = sa.table(
    "release_keys", *map(sa.column, ("release_key", "wrapped_key", "master_id"))
)


def upgrade() -> None:
    """Makes the tables, and marks what the server has to see to."""
    op.create_table(
        "key_ids",
        sa.Column("key", KEY, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_key_ids"),
        sa.UniqueConstraint("key_id", name="uq_key_ids_key_id"),
    )
    conn = op.get_bind()
    if conn.scalar(sa.text("SELECT EXISTS (SELECT 1 FROM models)")):
        op.execute(sa.insert(_key_ids).values(kind="MASTER", key_id=_OLD))
    _change_sample_keys()
    op.execute("ALTER TABLE releases RENAME COLUMN weights TO payload")
    _create_release_keys()
    _mark_releases(conn)
    op.execute("ALTER TABLE releases DROP COLUMN salt")
    if conn.dialect.name == "postgresql":
        _vacuum_soon()


def _vacuum_soon() -> None:
    """By default a table is vacuumed when a fifth of it is deleted: for the erased, too late."""
    for table in ("samples", "sample_keys", "releases", "release_keys", "erasures"):
        op.execute(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_threshold = 0, "
            "autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 0, "
            "toast.autovacuum_vacuum_scale_factor = 0)"
        )


def _change_sample_keys() -> None:
    with op.batch_alter_table("sample_keys") as table:
        table.add_column(sa.Column("master_id", sa.LargeBinary()))
    op.execute(sa.update(_sample_keys).values(master_id=_OLD))
    with op.batch_alter_table("sample_keys") as table:
        table.alter_column("master_id", existing_type=sa.LargeBinary(), nullable=False)
        table.create_foreign_key(
            "fk_sample_keys_master_id_key_ids", "key_ids", ["master_id"], ["key_id"]
        )


def _create_release_keys() -> None:
    op.create_table(
        "release_keys",
        sa.Column("release_key", KEY, autoincrement=False, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("master_id", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("release_key", name="pk_release_keys"),
        sa.ForeignKeyConstraint(
            ["release_key"], ["releases.key"], name="fk_release_keys_release_key_releases"
        ),
        sa.ForeignKeyConstraint(
            ["master_id"], ["key_ids.key_id"], name="fk_release_keys_master_id_key_ids"
        ),
    )


def _mark_releases(conn: sa.Connection) -> None:
    served = sa.select(_releases).where(_releases.c.payload.is_not(None))
    for key, salt, weights in conn.execute(served).all():
        clear = {"payload": salt + weights}
        conn.execute(sa.update(_releases).where(_releases.c.key == key).values(clear))
        conn.execute(
            sa.insert(_release_keys).values(release_key=key, wrapped_key=b"", master_id=_OLD)
        )
