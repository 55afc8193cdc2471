"""PgBouncer from Debian's package, in transaction mode in front of a Postgres. It can be killed and restarted."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from cli.local.ports import free_port
from tests.mail_servers.processes import wait_until_it_listens

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
IS_INSTALLED = PROGRAM is not None
NOT_INSTALLED = "needs Debian's package pgbouncer"
END_SECONDS = 10

# Without passwords. After a failed connection to Postgres it tries again after 1 second, not 15.
SETTINGS = """
[databases]
* = host={host} port=5432 user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
max_client_conn = 200
default_pool_size = 10
server_login_retry = 1
{more}
"""


class PgBouncer:
    """A pooler that keeps its port across restarts."""

    def __init__(self, home: Path, postgres_url: str, more: str = "") -> None:
        home.mkdir(parents=True)
        self.port, self._postgres = free_port(0), make_url(postgres_url)
        host, user = self._postgres.query["host"], self._postgres.username
        self._settings, self._log = home / "pgbouncer.ini", home / "log"
        self._settings.write_text(SETTINGS.format(host=host, user=user, port=self.port, more=more))
        self.start()

    def url_of(self, database: str | None = None) -> str:
        """The URL of a database through the pooler."""
        return self.url_by(self.port, database)

    def url_by(self, port: int, database: str | None = None) -> str:
        """The same URL through a relay on another port."""
        return f"postgresql://{self._postgres.username}@127.0.0.1:{port}/{database or self._postgres.database}"

    def start(self) -> None:
        """Start it. It accepts connections when this returns."""
        assert PROGRAM
        # It does not run as root, and only Postgres's user may use Postgres's socket.
        user = Path(str(self._postgres.query["host"])).stat().st_uid if os.getuid() == 0 else None
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [PROGRAM, self._settings.name], cwd=self._settings.parent, stdout=log, stderr=log, user=user
            )
        wait_until_it_listens(self._process, self._log, ("127.0.0.1", self.port))

    def kill(self) -> None:
        """`kill -9`."""
        self._process.kill()
        self._process.wait(END_SECONDS)


@contextmanager
def running_pgbouncer(home: Path, postgres_url: str, more: str = "") -> Iterator[PgBouncer]:
    """A pooler that is killed when the block ends. `more` are lines of its settings."""
    pooler = PgBouncer(home, postgres_url, more)
    try:
        yield pooler
    finally:
        pooler.kill()
