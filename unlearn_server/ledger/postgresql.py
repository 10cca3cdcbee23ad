"""PostgreSQL: connections that are durable, give up in time, and repeat no row in an error.

Sessions commit to disk even where the database's own settings would not wait for it. Waits
are bounded on both sides of a connection, so that neither a lost server nor a lost client
holds the other up for long. Connect to PostgreSQL itself or to a pooler of sessions: a pooler
of transactions keeps neither these settings nor the lock of ``tenure``.
"""

from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine import ExceptionContext

LOCKS = 0x756E6C72
"""The first half of our advisory locks' keys, "unlr"; they are each database's own."""

WRITER, TENANT = 1, 2
"""The second half: who writes now, and who is at the database."""

# As many as the requests that work at once; more would wait for the processor.
_POOL = 16

# Seconds, and milliseconds where it says so, until a silent peer counts as gone.
_CONNECT = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
    "application_name": "unlearn-server",
}

# A statement has at most a thousand rows, but for what deletes a model or everyone's data.
_SETTINGS = {
    "synchronous_commit": "on",
    # A plan for any thousand hashes compares each row with each of them: a hundred times slower.
    "plan_cache_mode": "force_custom_plan",
    "lock_timeout": "30s",
    "statement_timeout": "10min",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "2",
}
_WEAKER_THAN_DISK = "off"
# A writer that is stopped between two statements (SIGSTOP) would keep its turn for ever.
_TURN = text(
    "SELECT set_config('idle_in_transaction_session_timeout', '10s', true), "
    f"pg_advisory_xact_lock({LOCKS}, {WRITER})"
)


def engine(url: URL) -> Engine:
    """Connects to a database when first used."""
    # Errors must not carry parameters: they are what the log may not hold.
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_size=_POOL,
        connect_args={k: v for k, v in _CONNECT.items() if k not in url.query},
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "handle_error", _without_rows)
    return engine


def take_turn(connection: Connection) -> None:
    """Waits until no other transaction writes; the turn ends with this one."""
    connection.execute(_TURN)


def _configure(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        (durability,) = cursor.execute("SHOW synchronous_commit").fetchone()
        for name, value in _SETTINGS.items():
            # Stronger settings, which wait for replicas too, are the operator's to choose.
            if name != "synchronous_commit" or durability == _WEAKER_THAN_DISK:
                cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
    connection.commit()


def _without_rows(context: ExceptionContext) -> None:
    """Leaves of PostgreSQL's words only the first line: its details quote the row."""
    diagnosis = getattr(context.original_exception, "diag", None)
    if diagnosis and diagnosis.message_primary and context.sqlalchemy_exception:
        context.original_exception.args = (diagnosis.message_primary,)
        context.sqlalchemy_exception.args = (diagnosis.message_primary,)
