"""Opens the operator's database; its errors become sentences that quote the server."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from cli.client import ApiError, read_credentials
from cli.home import adopt_settings
from models.database import Database, open_database
from models.postgres_errors import (
    DatabaseInUse,
    DatabaseUnusable,
    Meaning,
    PostgresUnavailable,
    meaning_of,
    server_message_of,
    sqlstate_of,
)
from settings import load_settings

NO_SCHEMA = ("3F000", "42P01", "42703", "42883")


def database_of_operator(home: Path) -> AbstractContextManager[Database]:
    """Open the database that DATABASE_URL names, otherwise the one of the `growth up` in this home."""
    adopt_settings(home)
    return opened_database(load_settings().database_url or _database_of(home))


def _database_of(home: Path) -> str:
    saved = read_credentials(home)
    if saved is None or not saved.database_url:
        raise ApiError("No database is named: set DATABASE_URL, or give --home with the home of a `growth up`.")
    return saved.database_url


@contextmanager
def opened_database(url: str) -> Iterator[Database]:
    """Open a database for the block. Errors of Postgres are raised as `ApiError`."""
    try:
        database = open_database(url, pool_size=1)
    except ValueError as error:
        raise ApiError("DATABASE_URL is not usable: it looks like postgresql://user:password@host/database.") from error
    try:
        yield database
    except (PostgresUnavailable, DBAPIError) as error:
        raise ApiError(sentence_of(error)) from error
    except CommandError as error:
        raise ApiError("The database has the schema of another version of growth: install that version.") from error
    finally:
        database.close()


def sentence_of(error: PostgresUnavailable | DBAPIError) -> str:
    """Say what is wrong, in the server's words, and what to do."""
    if isinstance(error, DatabaseUnusable | DatabaseInUse):
        return str(error)
    message = server_message_of(error).rstrip(".")
    if meaning_of(error) is Meaning.UNAVAILABLE:
        return f"The database is not available: {message}. Check DATABASE_URL and the server."
    if sqlstate_of(error) in NO_SCHEMA:
        return "The database lacks this version's schema: run `growth migrate` first."
    return f"The database refused: {message}. Check DATABASE_URL, and the rights of its role."
