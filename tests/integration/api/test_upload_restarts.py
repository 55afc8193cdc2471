"""An upload outlives its API, killed while a file arrives or is read: nothing that was acknowledged is lost."""

import csv
import hashlib
import io
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from rich.console import Console

from cli.client import ApiClient, Credentials
from cli.local.ports import free_port
from cli.local.processes import Engine, EngineProcess, api_command, running_engine
from cli.local.stack import Stack
from cli.submission import Reading
from cli.uploading import upload
from models.database import Database
from tests.factories import count
from tests.faults.engine import wait_until
from tests.integration.conftest import Client

ROWS = 60_000
OF_ACCOUNT = "u.account_id = :id"


class Api:
    """An API process of its own, beside the one of the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._port = engine, free_port(0)
        self.url = f"http://127.0.0.1:{self._port}"
        self._process = self.start()

    def start(self) -> EngineProcess:
        self._process = self._engine.start("another-api", *api_command(self._port))
        self._engine.wait_until(self._answers, "the API")
        return self._process

    def kill(self) -> None:
        """Kill it and its worker processes, as when the machine is switched off."""
        parent = psutil.Process(self._process.popen.pid)
        for process in (*parent.children(recursive=True), parent):
            process.send_signal(signal.SIGKILL)
        self._process.popen.wait()
        self._engine.processes.remove(self._process)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False).is_success
        except httpx.HTTPError:
            return False


@pytest.fixture
def api(stack: Stack, tmp_path: Path) -> Iterator[Api]:
    with running_engine(stack.engine.environment, tmp_path / "logs") as engine:
        yield Api(engine)


@pytest.fixture
def people_csv(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["full_name", "domain", "note"])
        writer.writerows([f"Person {n}", f"a{n}.test", "x" * 500] for n in range(ROWS))
    return path


class Uploading(threading.Thread):
    """`growth submit` sends a file meanwhile."""

    def __init__(self, credentials: Credentials, path: Path) -> None:
        super().__init__(daemon=True)
        self._credentials, self._path = credentials, path
        self.shown: dict[str, Any] = {}

    def run(self) -> None:
        with ApiClient(self._credentials) as client:
            self.shown = upload(client, self._path, Reading(), Console(file=io.StringIO()))


def received(database: Database, client: Client) -> int:
    with database.transaction() as session:
        query = f"SELECT coalesce(sum(received), 0) FROM uploads u WHERE {OF_ACCOUNT}"
        return count(session, query, id=client.account.account_id)


def is_being_read(database: Database) -> bool:
    with database.transaction() as session:
        query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY upload_rows%' AND state = 'active'"
        return count(session, query) > 0


def test_it_goes_on_when_the_api_was_killed_while_the_file_arrived(
    api: Api, client: Client, stack_database: Database, people_csv: Path
) -> None:
    uploading = Uploading(Credentials(api.url, client.account.api_key), people_csv)
    uploading.start()
    wait_until(lambda: received(stack_database, client) > 0, "the first bytes", seconds=30)
    api.kill()
    kept = received(stack_database, client)

    api.start()
    uploading.join(60)

    assert kept > 0
    assert uploading.shown["counts"]["contacts"] == ROWS
    assert uploading.shown["sha256"] == hashlib.sha256(people_csv.read_bytes()).hexdigest()


def test_it_is_read_again_when_the_api_was_killed_while_it_read(
    api: Api, client: Client, stack_database: Database, people_csv: Path
) -> None:
    uploading = Uploading(Credentials(api.url, client.account.api_key), people_csv)
    uploading.start()
    wait_until(lambda: is_being_read(stack_database), "the reading", seconds=30)
    api.kill()

    api.start()
    uploading.join(60)

    assert uploading.shown["counts"]["contacts"] == ROWS
    with stack_database.transaction() as session:
        query = f"SELECT count(*) FROM upload_rows r JOIN uploads u ON u.id = r.upload_id WHERE {OF_ACCOUNT}"
        assert count(session, query, id=client.account.account_id) == ROWS
