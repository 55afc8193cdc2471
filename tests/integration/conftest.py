"""The whole engine, started as a user starts it, on the sandbox's small internet."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import redis
from sqlalchemy import select, text

from cli.accounts import NewAccount, create_account
from cli.client import ApiClient, Credentials
from cli.local.stack import Ports, Stack, running_stack
from models.database import Database, open_database
from models.run import Run
from pipeline.credits import RateCard
from pipeline.errors import RunStateConflict
from pipeline.mail.network import MailNetworkConfig
from pipeline.runs.create import create_run
from pipeline.runs.lifecycle import cancel
from sandbox.domains import Domain, invent_domains
from sandbox.internet import Internet
from sandbox.people import Person, invent_exactly, invent_people
from tests.factories import order

SEED = 11
FINISHED = {"completed", "failed", "cancelled"}


@dataclass(frozen=True)
class Population:
    """All people in the sandbox: the contract's 100, and a crowd of all kinds."""

    domains: Sequence[Domain]
    hundred: Sequence[Person]
    crowd: Sequence[Person]


@dataclass(frozen=True)
class Client:
    """A client with an account of its own, and the calls of the running engine that tests need."""

    api: ApiClient
    http: httpx.Client
    account: NewAccount

    def create(self, people: Sequence[Person], **options: Any) -> str:
        return self.api.create_run(contacts_of(people), "full_pipeline", **options)

    def finished(self, run_id: str, seconds: float = 60) -> dict[str, Any]:
        """The state of a run once it is finished."""
        return self.states(run_id, seconds)[-1]

    def states(
        self, run_id: str, seconds: float = 60, until: Callable[[dict[str, Any]], bool] | None = None
    ) -> list[dict[str, Any]]:
        """Every different state that a polling client sees, until the run is finished or `until` says so."""
        seen: list[dict[str, Any]] = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = self.api.read_run(run_id)
            if not seen or state != seen[-1]:
                seen.append(state)
            if state["status"] in FINISHED or (until and until(state)):
                return seen
            time.sleep(0.005)
        raise AssertionError(f"not finished after {seconds} s: {seen[-1]}")


def contacts_of(people: Sequence[Person]) -> list[Mapping[str, str]]:
    columns = ("first_name", "last_name", "company", "domain", "crm_id")
    return [{column: getattr(person, column) for column in columns} for person in people]


def end_runs(database: Database, account_id: UUID) -> None:
    """End what a test left open: others wait until nobody uses the mail servers."""
    with database.transaction() as session:
        open_runs = select(Run.id).where(Run.account_id == account_id, Run.finished_at.is_(None))
        run_ids = session.scalars(open_runs).all()
    for run_id in run_ids:
        # A run that is being worked may end before it is cancelled.
        with suppress(RunStateConflict), database.transaction() as session:
            cancel(session, account_id, run_id)


def waiting_runs(client: Client, database: Database, count: int, contacts: int = 3) -> Sequence[str]:
    """Runs that wait for a worker: nobody is told of them for an hour. The newest is the last."""
    made = []
    for _ in range(count):
        with database.transaction() as session:
            run_id = create_run(session, client.account.account_id, order(contacts), rate_card=RateCard()).run_id
            later = text("UPDATE runs SET resend_at = now() + interval '1 hour' WHERE id = :id")
            session.execute(later, {"id": run_id})
        made.append(str(run_id))
    return made


def mail_config(internet: Internet, **settings: Any) -> MailNetworkConfig:
    """The configuration with which a test's own mail network uses the sandbox's servers."""
    host, _, port = internet.dns_address.rpartition(":")
    return MailNetworkConfig(((host, int(port)),), internet.smtp_port, allow_private=True, **settings)


@pytest.fixture(scope="session")
def population() -> Population:
    domains = invent_domains(SEED, count=120)
    return Population(
        domains,
        invent_exactly(SEED, valid=78, found_unverified=17, unfindable=5, domains=domains[:60]),
        invent_people(SEED, 600, domains[60:]),
    )


@pytest.fixture(scope="package")
def internet(population: Population) -> Iterator[Internet]:
    with Internet(
        [*population.hundred, *population.crowd], population.domains, slow_seconds=0.1, greylist_seconds=1
    ) as running:
        yield running


@pytest.fixture(scope="package")
def stack(internet: Internet, servers_home: Path) -> Iterator[Stack]:
    """Two workers of one process each, API, sweeper and Flower; small chunks, so that there is work for all."""
    settings = {
        **internet.settings(),
        "CHUNK_SIZE": "50",
        "DEFER_SECONDS": "1.5,3",
        "REQUESTS_PER_MINUTE": "100000",
        "FLOWER_UNAUTHENTICATED_API": "true",
        "HOOK_ALLOW_PRIVATE": "true",
    }
    home = servers_home / "engine"
    with running_stack(home, Ports(api=0, flower=0), workers=2, processes=1, settings=settings) as running:
        yield running


@pytest.fixture(scope="package")
def stack_home(stack: Stack) -> Path:
    return stack.engine.log_dir.parent


@pytest.fixture(scope="package")
def stack_database(stack: Stack) -> Iterator[Database]:
    database = open_database(stack.engine.environment["DATABASE_URL"])
    yield database
    database.close()


@pytest.fixture(scope="package")
def stack_redis(stack: Stack) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(stack.engine.environment["REDIS_URL"])
    yield client
    client.close()


SEND_CHAINS = """
import sys, uuid
from worker.dispatch import send_chain
for _ in range(int(sys.argv[2])):
    send_chain(uuid.UUID(sys.argv[1]), "full_pipeline")
"""


@pytest.fixture
def send_chains(stack: Stack) -> Callable[[str, int], None]:
    """Send a run's chain so many times, from a process of its own like an API client's."""

    def send(run_id: str, times: int) -> None:
        command = [sys.executable, "-c", SEND_CHAINS, run_id, str(times)]
        subprocess.run(command, env={**os.environ, **stack.engine.environment}, check=True)

    return send


@pytest.fixture
def client(stack: Stack, stack_database: Database) -> Iterator[Client]:
    with opened_client(stack, stack_database) as opened:
        yield opened


@pytest.fixture
def stranger(stack: Stack, stack_database: Database) -> Iterator[Client]:
    """A client of another account."""
    with opened_client(stack, stack_database) as opened:
        yield opened


@contextmanager
def opened_client(stack: Stack, database: Database, credits_granted: int = 100_000) -> Iterator[Client]:
    account = create_account(database, "Example Account", credits_granted)
    credentials = Credentials(stack.credentials.api_url, account.api_key)
    headers = {"Authorization": f"Bearer {account.api_key}"}
    with (
        httpx.Client(base_url=credentials.api_url, headers=headers, trust_env=False, timeout=30) as http,
        ApiClient(credentials) as api,
    ):
        yield Client(api, http, account)
