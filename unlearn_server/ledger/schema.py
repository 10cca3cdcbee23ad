"""The tables. Every change here comes with a migration; a test compares the two.

Hashes are 32 bytes, keyed (see ``keys``); no id of a person or a sample is in clear.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

from unlearn_server.domain import (
    ErasureState,
    KeyKind,
    Method,
    ReleaseState,
    Retention,
    SelectionKind,
)
from unlearn_server.ledger.columns import Bound, Bytes, Instant, Key, Solve, names

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# A deleted model's row stays, with its delete_time, so that its id is never reused. The
# counts are kept in step by ``samples``: counting a million rows is not for a hot path.
models = Table(
    "models",
    metadata,
    Column("key", Key, primary_key=True),
    Column("model_id", String(63), nullable=False, unique=True),
    Column("core", String, nullable=False),
    Column("objective", JSON, nullable=False),
    Column("minimum_cohort", BigInteger, nullable=False),
    Column("user_count", BigInteger, nullable=False),
    Column("core_count", BigInteger, nullable=False),
    Column("subject_count", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("create_time", Instant, nullable=False),
    Column("delete_time", Instant),
)

# The hash comes first in the indexes: they then also answer which models hold it. A key
# is never used twice, so that keys read earlier never mean another sample.
samples = Table(
    "samples",
    metadata,
    Column("key", Key, primary_key=True),
    Column("model_key", Key, ForeignKey("models.key"), nullable=False),
    Column("retention", names(Retention), nullable=False),
    Column("sample_hash", Bytes, nullable=False),
    Column("subject_hash", Bytes),
    Column("content_hash", Bytes, nullable=False),
    Column("payload", Bytes, nullable=False),
    UniqueConstraint("sample_hash", "model_key"),
    Index(None, "subject_hash", "model_key"),
    Index(None, "model_key", "key"),
    sqlite_autoincrement=True,
)

# The secrets that are in use, none of them here: by these ids a wrong one is told at once. The
# master key in force is the newest.
key_ids = Table(
    "key_ids",
    metadata,
    Column("key", Key, primary_key=True),
    Column("kind", names(KeyKind), nullable=False),
    Column("key_id", Bytes, nullable=False, unique=True),
)

# Apart from the samples, so that backups of the samples alone hold nothing readable.
sample_keys = Table(
    "sample_keys",
    metadata,
    Column("sample_key", Key, ForeignKey("samples.key"), primary_key=True, autoincrement=False),
    Column("wrapped_key", Bytes, nullable=False),
    Column("master_id", Bytes, ForeignKey("key_ids.key_id"), nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("key", Key, primary_key=True),
    Column("model_key", Key, ForeignKey("models.key"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("request_id", String(36)),
    Column("state", names(ReleaseState), nullable=False),
    Column("sample_count", BigInteger, nullable=False),
    Column("solve", Solve),
    Column("create_time", Instant, nullable=False),
    Column("destroy_time", Instant),
    Column("weights_commitment", Bytes),
    Column("state_commitment", Bytes),
    Column("payload", Bytes),
    UniqueConstraint("model_key", "number"),
    UniqueConstraint("model_key", "request_id"),
)

release_keys = Table(
    "release_keys",
    metadata,
    Column("release_key", Key, ForeignKey("releases.key"), primary_key=True, autoincrement=False),
    Column("wrapped_key", Bytes, nullable=False),
    Column("master_id", Bytes, ForeignKey("key_ids.key_id"), nullable=False),
)

# At most one release of a model serves, and at most one is being solved for.
for _state in (ReleaseState.SERVING, ReleaseState.SOLVING):
    _in_state = releases.c.state == _state
    Index(
        f"ix_releases_{_state.lower()}",
        releases.c.model_key,
        unique=True,
        sqlite_where=_in_state,
        postgresql_where=_in_state,
    )

erasures = Table(
    "erasures",
    metadata,
    Column("key", Key, primary_key=True),
    Column("request_id", String(36), nullable=False, unique=True),
    Column("fingerprint", Bytes, nullable=False),
    Column("selection_kind", names(SelectionKind), nullable=False),
    Column("selection_hashes", Bytes, nullable=False),
    Column("method", names(Method), nullable=False),
    Column("regulation", String, nullable=False),
    Column("subject_root", Bytes),
    Column("commitment_salt", Bytes),
    Column("state", names(ErasureState), nullable=False),
    Column("state_reason", String, nullable=False),
    Column("receive_time", Instant, nullable=False),
    Column("due_time", Instant, nullable=False),
    Column("complete_time", Instant),
    Column("extend_time", Instant),
    Column("extension_reason", String),
    Column("first_due_time", Instant),
    Column("refusal_ground", String),
    Column("refusal_leaf", BigInteger),
    Index(None, "state", "due_time"),
    Index(None, "refusal_leaf", unique=True),
)

# Those that ended late are few, and counted often.
_ended_late = erasures.c.complete_time > erasures.c.due_time
Index(
    "ix_erasures_late",
    erasures.c.key,
    sqlite_where=_ended_late,
    postgresql_where=_ended_late,
)

# Whom a hold was on is forgotten when it is lifted.
holds = Table(
    "holds",
    metadata,
    Column("key", Key, primary_key=True),
    Column("hold_id", String(36), nullable=False, unique=True),
    Column("subject_hash", Bytes),
    Column("reason", String, nullable=False),
    Column("place_time", Instant, nullable=False),
    Column("lift_time", Instant),
    Index(None, "subject_hash"),
)

# Of one who was erased twice there may be several, all but one of them lifted.
suppressions = Table(
    "suppressions",
    metadata,
    Column("key", Key, primary_key=True),
    Column("model_key", Key, ForeignKey("models.key"), nullable=False),
    Column("subject_hash", Bytes, nullable=False),
    Column("erase_time", Instant, nullable=False),
    Column("lift_time", Instant),
    Column("lift_reason", String),
)
_lasts = suppressions.c.lift_time.is_(None)
Index(
    "ix_suppressions_lasting",
    suppressions.c.model_key,
    suppressions.c.subject_hash,
    unique=True,
    sqlite_where=_lasts,
    postgresql_where=_lasts,
)

erasure_models = Table(
    "erasure_models",
    metadata,
    Column("erasure_key", Key, ForeignKey("erasures.key"), primary_key=True),
    Column("model_key", Key, ForeignKey("models.key"), primary_key=True),
    Column("position", BigInteger, nullable=False),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("key", Key, primary_key=True),
    Column("erasure_key", Key, nullable=False),
    Column("model_key", Key, nullable=False),
    Column("method", names(Method), nullable=False),
    Column("erased_samples", BigInteger, nullable=False),
    Column("release_before", BigInteger),
    Column("release_after", BigInteger),
    Column("solve", Solve),
    Column("bound", Bound, nullable=False),
    Column("leaf_index", BigInteger, unique=True),
    ForeignKeyConstraint(
        ["erasure_key", "model_key"], ["erasure_models.erasure_key", "erasure_models.model_key"]
    ),
    UniqueConstraint("erasure_key", "model_key"),
)

# The transparency log: one row, whose frontier and checkpoint move with every leaf. Witnesses
# sign the checkpoint later, each in a line of its own; their verifier keys lead to the size that
# each signed last.
logs = Table(
    "logs",
    metadata,
    Column("key", Key, primary_key=True),
    Column("origin", String, nullable=False),
    Column("frontier", Bytes, nullable=False),
    Column("checkpoint", String, nullable=False),
    Column("cosignatures", String, nullable=False, server_default=""),
    Column("cosigned_sizes", JSON, nullable=False, server_default="{}"),
    Column("witnessed", String),
)

log_leaves = Table(
    "log_leaves",
    metadata,
    Column("leaf_index", Key, primary_key=True, autoincrement=False),
    Column("entry", Bytes, nullable=False),
    Column("envelope", Bytes, nullable=False),
)

# Complete nodes alone, which never change, numbered in order: see ``ledger.log``.
log_nodes = Table(
    "log_nodes",
    metadata,
    Column("number", Key, primary_key=True, autoincrement=False),
    Column("hash", Bytes, nullable=False),
)

# Each signs from its first index on; all but the first are endorsed by the one before.
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("first_index", Key, primary_key=True, autoincrement=False),
    Column("public_key", Bytes, nullable=False),
    Column("endorsement", Bytes),
)

# One row, which only servers on PostgreSQL use: see ``ledger.lease``.
leases = Table(
    "leases",
    metadata,
    Column("key", Key, primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("address", String),
)
