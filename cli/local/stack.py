"""Runs the whole engine on one machine: servers (embedded unless yours are set), workers, API, sweeper, Flower."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from cli.accounts import add_key, create_account, reopen_account
from cli.client import ApiError, Credentials, read_credentials
from cli.database import opened_database
from cli.exit_codes import CommandFailed
from cli.home import private_folder, settings_to_keep
from cli.local.embedded import embedded_postgres, embedded_valkey
from cli.local.ports import free_port
from cli.local.processes import (
    Engine,
    api_command,
    flower_command,
    running_engine,
    sweeper_command,
    worker_command,
)
from models.database import Database
from models.migrate import migrate
from settings import read_settings
from settings.mail import check_files
from settings.sources import sources_or_exit
from worker.broker import find_broker_trouble

LOCAL_ACCOUNT = "local"
LOCAL_CREDITS = 10_000_000
BROKER_TIMEOUT_S = 3.0


class BrokerUnusable(CommandFailed):
    """Raised when the broker can't be used, so that runs would wait for ever. Its text says what to do."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of API and Flower on 127.0.0.1; 0 means any free one."""

    api: int = 8000
    flower: int = 5555


@dataclass(frozen=True, slots=True)
class Stack:
    """A running engine and how to reach it."""

    engine: Engine
    credentials: Credentials
    flower_url: str
    database_url: str


def check_settings() -> None:
    """End with a sentence if a setting, or a file that it names, can't be used; before anything is started."""
    settings = read_settings()
    check_files(settings)
    sources_or_exit(settings)


@contextmanager
def running_stack(
    home: Path,
    ports: Ports,
    *,
    workers: int = 1,
    processes: int = 2,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """Start everything, and stop it in order when the block ends.

    `settings` are environment variables for the processes, such as where the sandbox is. `home` is for this engine
    alone (`cli.home.locked_home`). Raises `CommandFailed` or `TimeoutError` if a part does not start.
    """
    home = home.resolve()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    api_port, flower_port = free_port(ports.api), free_port(ports.flower)
    with ExitStack() as stack:
        servers = _servers(stack, home)
        flower_url = f"http://127.0.0.1:{flower_port}"
        own = {"EXPORT_DIR": str(private_folder(home / "exports")), "FLOWER_URL": flower_url}
        environment = {**servers, **own, **(settings or {})}
        _check_broker({**os.environ, **environment})
        credentials = _prepare(home, environment, f"http://127.0.0.1:{api_port}")
        credentials.save(home)
        engine = stack.enter_context(running_engine(environment, home / "logs"))
        for number in range(1, workers + 1):
            engine.start(f"worker-{number}", *worker_command(f"worker-{number}", processes))
        engine.start("sweeper", *sweeper_command())
        engine.start("api", *api_command(api_port))
        engine.start("flower", *flower_command(flower_port))
        engine.wait_until(lambda: _answers(f"{credentials.api_url}/readyz"), "the API")
        yield Stack(engine, credentials, flower_url, environment["DATABASE_URL"])


def _servers(stack: ExitStack, home: Path) -> dict[str, str]:
    """Use the operator's servers if they are set, otherwise start embedded ones."""
    database_url = os.environ.get("DATABASE_URL") or stack.enter_context(embedded_postgres(home / "postgres"))
    redis_url = os.environ.get("REDIS_URL") or stack.enter_context(embedded_valkey(home / "valkey"))
    return {"DATABASE_URL": database_url, "REDIS_URL": redis_url}


def _check_broker(environment: Mapping[str, str]) -> None:
    """Raise `BrokerUnusable` if the broker can't be used."""
    settings = read_settings(redis_url=environment["REDIS_URL"], broker_url=environment.get("BROKER_URL", ""))
    if trouble := find_broker_trouble(settings, BROKER_TIMEOUT_S):
        raise BrokerUnusable(f"The broker is {trouble}")


def _prepare(home: Path, environment: Mapping[str, str], api_url: str) -> Credentials:
    """Migrate the database and open the local account."""
    database_url = environment["DATABASE_URL"]
    with opened_database(database_url) as database:
        migrate(database)
        key = _key_of_home(database, home)
    return Credentials(api_url, key, database_url, settings_to_keep({**os.environ, **environment}))


def _key_of_home(database: Database, home: Path) -> str:
    """Return the key of this home; if it was lost, a new key to the same account."""
    try:
        saved = read_credentials(home)
    except ApiError:
        saved = None
    if saved and reopen_account(database, saved.api_key, LOCAL_CREDITS // 2):
        return saved.api_key
    # In an operator's own database, an account of that name may belong to somebody else.
    key = None if os.environ.get("DATABASE_URL") else add_key(database, LOCAL_ACCOUNT, LOCAL_CREDITS // 2)
    return key or create_account(database, LOCAL_ACCOUNT, LOCAL_CREDITS).api_key


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
