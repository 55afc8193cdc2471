"""Real servers for all tests: started once, a fresh database for each test that needs one."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import redis

from cli.local.embedded import embedded_postgres, embedded_valkey
from models.database import Database, open_database
from models.migrate import migrate
from tests.clones import Clones, run_on_server, url_of

# Benchmarks measure speed. A test that is slow on a busy machine must not fail.
hypothesis.settings.register_profile("growth", deadline=None)
hypothesis.settings.load_profile("growth")

TEMPLATE = "growth_template"
NOT_DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
"""Settings that databases of tests do not need. The fault suite kills its servers, and so has its own."""


@pytest.fixture(scope="session")
def servers_home() -> Iterator[Path]:
    """Not pytest's own temporary directory: it deletes those of other sessions, with servers still in them."""
    with tempfile.TemporaryDirectory(prefix="growth-tests-", ignore_cleanup_errors=True) as home:
        yield Path(home)


@pytest.fixture(scope="session")
def postgres_url(servers_home: Path) -> Iterator[str]:
    with embedded_postgres(servers_home / "postgres") as url:
        for setting in NOT_DURABLE:
            run_on_server(url, f"ALTER SYSTEM SET {setting} = off")
        run_on_server(url, "SELECT pg_reload_conf()")
        yield url


@pytest.fixture(scope="session")
def valkey_url(servers_home: Path) -> Iterator[str]:
    with embedded_valkey(servers_home / "valkey") as url:
        yield url


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> str:
    """The schema, migrated once; each test gets a clone of it."""
    run_on_server(postgres_url, f"CREATE DATABASE {TEMPLATE}")
    database = open_database(url_of(postgres_url, TEMPLATE), pool_size=1)
    migrate(database)
    database.close()
    return TEMPLATE


@pytest.fixture(scope="session")
def clones(postgres_url: str, template_database: str) -> Clones:
    return Clones(postgres_url, template_database)


@pytest.fixture
def database_url(clones: Clones) -> Iterator[str]:
    with clones.one() as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = open_database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def new_database(clones: Clones) -> Iterator[Database]:
    """A database without dead rows, for tests that measure the cost of statements."""
    with clones.new() as url:
        opened = open_database(url)
        yield opened
        opened.close()


@pytest.fixture
def redis_client(valkey_url: str) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(valkey_url)
    client.flushdb()
    yield client
    client.close()


@pytest.fixture(scope="session")
def project_root() -> Path:
    return Path(__file__).parent.parent
