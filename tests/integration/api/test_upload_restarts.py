"""An upload outlives its API, killed while a file arrives or is read: nothing that was acknowledged is lost."""

import csv
import hashlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.client import ApiClient, Credentials
from cli.local.processes import running_engine
from cli.local.stack import Stack
from cli.submission import Reading
from cli.uploading import upload
from models.database import Database
from tests.factories import count
from tests.faults.engine import wait_until
from tests.integration.another_api import AnotherApi
from tests.integration.conftest import Client

pytestmark = pytest.mark.proof

ROWS = 60_000
OF_ACCOUNT = "u.account_id = :id"


@pytest.fixture
def api(stack: Stack, tmp_path: Path) -> Iterator[AnotherApi]:
    with running_engine(stack.engine.environment, tmp_path / "logs") as engine:
        yield AnotherApi(engine)


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
    api: AnotherApi, client: Client, stack_database: Database, people_csv: Path
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
    api: AnotherApi, client: Client, stack_database: Database, people_csv: Path
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
