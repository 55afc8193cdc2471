"""The whole engine on one machine: servers (embedded unless yours are set), workers, API, sweeper, Flower."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from cli.accounts import create_account
from cli.client import Credentials
from cli.database import opened_database
from cli.embedded import embedded_postgres, embedded_valkey
from cli.processes import (
    Engine,
    api_command,
    flower_command,
    running_engine,
    sweeper_command,
    worker_command,
)
from models.migrate import migrate

LOCAL_CREDITS = 10_000_000


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the web parts listen on 127.0.0.1; 0 takes any free port."""

    api: int = 8000
    flower: int = 5555


@dataclass(frozen=True, slots=True)
class Stack:
    """A running engine, and how to use it."""

    engine: Engine
    credentials: Credentials
    flower_url: str
    database_url: str


@contextmanager
def running_stack(
    home: Path,
    ports: Ports,
    *,
    workers: int = 1,
    concurrency: int = 2,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """Everything started and ready; stopped in order when the block ends.

    `settings` are environment variables for the processes, such as where the sandbox is. Raises
    `ProcessEnded` or `TimeoutError` when a part does not come up.
    """
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    api_port, flower_port = free_port(ports.api), free_port(ports.flower)
    with ExitStack() as stack:
        environment = {**_servers(stack, home), "EXPORT_DIR": str(home / "exports"), **(settings or {})}
        credentials = _prepare(environment["DATABASE_URL"], f"http://127.0.0.1:{api_port}")
        credentials.save(home)
        engine = stack.enter_context(running_engine(environment, home / "logs"))
        for number in range(1, workers + 1):
            engine.start(f"worker-{number}", *worker_command(f"worker-{number}", concurrency))
        engine.start("sweeper", *sweeper_command())
        engine.start("api", *api_command(api_port))
        engine.start("flower", *flower_command(flower_port))
        engine.wait_until(lambda: _answers(f"{credentials.api_url}/readyz"), "the API")
        yield Stack(engine, credentials, f"http://127.0.0.1:{flower_port}", environment["DATABASE_URL"])


def _servers(stack: ExitStack, home: Path) -> dict[str, str]:
    """The operator's servers where set, embedded ones otherwise."""
    database_url = os.environ.get("DATABASE_URL") or stack.enter_context(embedded_postgres(home / "postgres"))
    redis_url = os.environ.get("REDIS_URL") or stack.enter_context(embedded_valkey(home / "valkey"))
    return {"DATABASE_URL": database_url, "REDIS_URL": redis_url}


def _prepare(database_url: str, api_url: str) -> Credentials:
    """Migrate, and open an account for whoever sits at this machine."""
    with opened_database(database_url) as database:
        migrate(database)
        return Credentials(api_url, create_account(database, "local", LOCAL_CREDITS).api_key, database_url)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def free_port(wanted: int) -> int:
    """The wanted port of 127.0.0.1, or another one when it is taken; 0 wants any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
