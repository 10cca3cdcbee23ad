"""The first tables: models, samples and their keys, releases, erasures and their outcomes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Creates every table, those first that others refer to."""
    _create_models()
    _create_samples()
    _create_sample_keys()
    _create_releases()
    _create_erasures()
    _create_erasure_models()
    _create_outcomes()


def _create_models() -> None:
    op.create_table(
        "models",
        sa.Column("key", KEY, nullable=False),
        sa.Column("model_id", sa.String(length=63), nullable=False),
        sa.Column("core", sa.String(), nullable=False),
        sa.Column("objective", sa.JSON(), nullable=False),
        sa.Column("minimum_cohort", sa.BigInteger(), nullable=False),
        sa.Column("user_count", sa.BigInteger(), nullable=False),
        sa.Column("core_count", sa.BigInteger(), nullable=False),
        sa.Column("subject_count", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("delete_time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_models")),
        sa.UniqueConstraint("model_id", name=op.f("uq_models_model_id")),
    )


def _create_samples() -> None:
    op.create_table(
        "samples",
        sa.Column("key", KEY, nullable=False),
        sa.Column("model_key", KEY, nullable=False),
        sa.Column("retention", sa.String(16), nullable=False),
        sa.Column("sample_hash", sa.LargeBinary(), nullable=False),
        sa.Column("subject_hash", sa.LargeBinary(), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["model_key"], ["models.key"], name=op.f("fk_samples_model_key")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_samples")),
        sa.UniqueConstraint(
            "sample_hash", "model_key", name=op.f("uq_samples_sample_hash_model_key")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_samples_model_key_key"), "samples", ["model_key", "key"], unique=False)
    op.create_index(
        op.f("ix_samples_subject_hash_model_key"),
        "samples",
        ["subject_hash", "model_key"],
        unique=False,
    )


def _create_sample_keys() -> None:
    op.create_table(
        "sample_keys",
        sa.Column("sample_key", KEY, autoincrement=False, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sample_key"], ["samples.key"], name=op.f("fk_sample_keys_sample_key")
        ),
        sa.PrimaryKeyConstraint("sample_key", name=op.f("pk_sample_keys")),
    )


def _create_releases() -> None:
    op.create_table(
        "releases",
        sa.Column("key", KEY, nullable=False),
        sa.Column("model_key", KEY, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.String(length=36), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("sample_count", sa.BigInteger(), nullable=False),
        sa.Column("solve", sa.JSON(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("destroy_time", sa.BigInteger(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("weights_commitment", sa.LargeBinary(), nullable=True),
        sa.Column("state_commitment", sa.LargeBinary(), nullable=True),
        sa.Column("weights", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["model_key"], ["models.key"], name=op.f("fk_releases_model_key")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_releases")),
        sa.UniqueConstraint("model_key", "number", name=op.f("uq_releases_model_key_number")),
        sa.UniqueConstraint(
            "model_key", "request_id", name=op.f("uq_releases_model_key_request_id")
        ),
    )
    op.create_index(
        "ix_releases_serving",
        "releases",
        ["model_key"],
        unique=True,
        sqlite_where=sa.text("state = 'SERVING'"),
        postgresql_where=sa.text("state = 'SERVING'"),
    )


def _create_erasures() -> None:
    op.create_table(
        "erasures",
        sa.Column("key", KEY, nullable=False),
        sa.Column("request_id", sa.String(length=36), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("selection_kind", sa.String(16), nullable=False),
        sa.Column("selection_hashes", sa.LargeBinary(), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("regulation", sa.String(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("state_reason", sa.String(), nullable=False),
        sa.Column("receive_time", sa.BigInteger(), nullable=False),
        sa.Column("due_time", sa.BigInteger(), nullable=False),
        sa.Column("complete_time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_erasures")),
        sa.UniqueConstraint("request_id", name=op.f("uq_erasures_request_id")),
    )
    op.create_index(
        op.f("ix_erasures_state_due_time"), "erasures", ["state", "due_time"], unique=False
    )


def _create_erasure_models() -> None:
    op.create_table(
        "erasure_models",
        sa.Column("erasure_key", KEY, nullable=False),
        sa.Column("model_key", KEY, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["erasure_key"], ["erasures.key"], name=op.f("fk_erasure_models_erasure_key")
        ),
        sa.ForeignKeyConstraint(
            ["model_key"], ["models.key"], name=op.f("fk_erasure_models_model_key")
        ),
        sa.PrimaryKeyConstraint("erasure_key", "model_key", name=op.f("pk_erasure_models")),
    )


def _create_outcomes() -> None:
    op.create_table(
        "outcomes",
        sa.Column("key", KEY, nullable=False),
        sa.Column("erasure_key", KEY, nullable=False),
        sa.Column("model_key", KEY, nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("erased_samples", sa.BigInteger(), nullable=False),
        sa.Column("release_before", sa.BigInteger(), nullable=True),
        sa.Column("release_after", sa.BigInteger(), nullable=True),
        sa.Column("solve", sa.JSON(), nullable=True),
        sa.Column("bound", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["erasure_key", "model_key"],
            ["erasure_models.erasure_key", "erasure_models.model_key"],
            name=op.f("fk_outcomes_erasure_key_model_key"),
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_outcomes")),
        sa.UniqueConstraint(
            "erasure_key", "model_key", name=op.f("uq_outcomes_erasure_key_model_key")
        ),
    )
