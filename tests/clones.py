"""Clones of a template database, one for each test.

Creating a clone writes 17 MB. So a clone in which a test changed nothing but rows is emptied and used again.
"""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from sqlalchemy.engine import make_url

CATALOGS = ("class", "attribute", "constraint", "index", "trigger", "proc", "namespace", "db_role_setting")
SCHEMA = " UNION ALL ".join(
    f"SELECT '{table}', count(*), max(xmin::text::bigint) FROM {table}"
    for table in (*(f"pg_catalog.pg_{name}" for name in CATALOGS), "public.alembic_version")
)
"""Its result differs after any change of the schema or of the database's settings, even after one that was reverted."""

OTHER_SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
EMPTY = """
    DO $$ DECLARE name text; BEGIN
        SET LOCAL session_replication_role = replica;  -- without foreign keys, so in any order
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
            EXECUTE format('DELETE FROM %I', name);
        END LOOP;
        PERFORM setval(seqrelid, seqstart, false) FROM pg_sequence;
    END $$
"""
CLOSING_S = 0.5
"""The time that a closed session may take to end."""

_numbers = itertools.count(1)
Schema = list[tuple[object, ...]]


@dataclass
class Clones:
    """The clones of one template that are not in use."""

    server_url: str
    template: str
    _spare: list[tuple[str, Schema]] = field(default_factory=list)

    @contextmanager
    def one(self) -> Iterator[str]:
        """The URL of a clone for one test."""
        name, schema = self._spare.pop() if self._spare else self._create()
        yield url_of(self.server_url, name)
        if self._is_empty_again(name, schema):
            self._spare.append((name, schema))
        else:
            run_on_server(self.server_url, f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def new(self) -> Iterator[str]:
        """The URL of a clone that no test has used: it has no dead rows, which would change what is measured."""
        name, _ = self._create()
        yield url_of(self.server_url, name)
        run_on_server(self.server_url, f"DROP DATABASE {name} WITH (FORCE)")

    def _create(self) -> tuple[str, Schema]:
        name = f"test_{next(_numbers)}"
        run_on_server(self.server_url, f"CREATE DATABASE {name} TEMPLATE {self.template}")
        with connected(url_of(self.server_url, name)) as connection:
            return name, connection.execute(SCHEMA).fetchall()

    def _is_empty_again(self, name: str, schema: Schema) -> bool:
        try:
            with connected(url_of(self.server_url, name)) as connection:
                if connection.execute(SCHEMA).fetchall() != schema or _is_in_use(connection):
                    return False
                connection.execute(EMPTY)
                return True
        except psycopg.Error:
            return False


def _is_in_use(connection: psycopg.Connection) -> bool:
    deadline = time.monotonic() + CLOSING_S
    while connection.execute(OTHER_SESSIONS).fetchone() != (0,):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.005)
    return False


def url_of(server_url: str, database: str) -> str:
    return make_url(server_url).set(database=database).render_as_string(hide_password=False)


def run_on_server(url: str, statement: str) -> None:
    with connected(url) as connection:
        connection.execute(statement)


def connected(url: str) -> psycopg.Connection:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)
