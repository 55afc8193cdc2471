"""The one place that opens transactions and commits them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg.types.numeric import Int8Dumper
from sqlalchemy import Engine, ExceptionContext, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from models.postgres_errors import hide_data, is_of_no_more_use, unavailable_translated

CONNECT_TIMEOUT_S = 5
# A network that drops packets without a word is noticed within seconds; the system's defaults take from 15 minutes
# to hours, in which a sweeper would sweep nothing. A Unix socket has no use for these.
SILENT_NETWORK = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
IDLE_IN_TRANSACTION_S = 5
"""A process that is frozen in a transaction holds its run's row; Postgres takes it back before a lease ends."""


class Database:
    """A pool of connections to Postgres, and transactions on them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits when the block ends, and rolls back when it raises.

        Raises `models.postgres_errors.PostgresUnavailable` when Postgres is away or refuses for now.
        """
        with unavailable_translated(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close all connections of the pool."""
        self.engine.dispose()


def open_database(
    url: str, *, pool_size: int = 5, application_name: str = "growth-engine", **engine_options: Any
) -> Database:
    """A database for a `postgresql://` URL; the driver is always psycopg 3. Nothing is connected yet.

    `application_name` tells the connections apart in `pg_stat_activity`.
    """
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=pool_size,
        # A restarted Postgres leaves dead connections in the pool: notice before use, not in use.
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            **SILENT_NETWORK,
            "application_name": application_name,
            "options": f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_S * 1000}",
        },
        **engine_options,
    )
    event.listen(engine, "connect", _send_integers_as_bigint)
    event.listen(engine, "handle_error", _heed_error)
    return Database(engine)


def _send_integers_as_bigint(connection: Any, _record: Any) -> None:
    """The driver sends an integer as the smallest type that holds it, and `smallint + smallint` overflows at 32,767."""
    connection.adapters.register_dumper(int, Int8Dumper)


def allow_idle_transaction(session: Session) -> None:
    """For a transaction that only reads, and writes a file meanwhile: a slow disk must not end it."""
    session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def _heed_error(context: ExceptionContext) -> None:
    """Whoever prints the error prints no value; and no pool keeps a connection that is of no more use."""
    hide_data(context.original_exception)
    hide_data(context.sqlalchemy_exception)
    if is_of_no_more_use(context.original_exception):
        context.is_disconnect = True
