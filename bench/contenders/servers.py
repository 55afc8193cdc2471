"""The PostgreSQL and the Valkey that all contenders use, started as `growth up` starts them."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis
from sqlalchemy.engine import make_url

from cli.local.embedded import embedded_servers
from settings import load_settings

VALKEY_DATABASES_FOR_PEERS = 15


@dataclass(frozen=True, slots=True)
class Servers:
    """Both servers, and a folder for logs and exports."""

    database_url: str
    redis_url: str
    home: Path

    @contextmanager
    def new_database(self, name: str) -> Iterator[str]:
        """A database for one contender and one turn; gives its URL."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
            try:
                yield make_url(self.database_url).set(database=name).render_as_string(hide_password=False)
            finally:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
                # What the next contender's first checkpoint would write otherwise.
                connection.execute("CHECKPOINT")

    def valkey_seconds(self) -> float:
        """The processor time that Valkey has used so far."""
        with redis.Redis.from_url(self.redis_url) as client:
            used = client.info("cpu")
        return float(used["used_cpu_user"] + used["used_cpu_sys"])

    def valkey_database(self, number: int) -> str:
        """The URL of one of Valkey's databases for peers. The engine has the first one."""
        return f"{self.redis_url.rpartition('/')[0]}/{1 + number % VALKEY_DATABASES_FOR_PEERS}"

    def empty_valkey(self) -> None:
        """Forget what an earlier contender left."""
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()


@contextmanager
def running_servers() -> Iterator[Servers]:
    """Start both servers in a temporary folder, and stop them when the block ends, as it does at SIGTERM, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with (
        tempfile.TemporaryDirectory(prefix="growth-bench-") as folder,
        embedded_servers(Path(folder)) as servers,
        _redis_of_this_process(servers.redis_url),
    ):
        yield Servers(servers.database_url, servers.redis_url, Path(folder))


@contextmanager
def _redis_of_this_process(url: str) -> Iterator[None]:
    """This process creates runs, and sends their chains."""
    before = os.environ.get("REDIS_URL")
    os.environ["REDIS_URL"] = url
    load_settings.cache_clear()
    try:
        yield
    finally:
        os.environ.pop("REDIS_URL")
        os.environ.update({} if before is None else {"REDIS_URL": before})
        load_settings.cache_clear()
