"""The engine of the fault suite: real servers, several workers, API and sweeper, each of which a fault can hit."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

import httpx
import redis
from sqlalchemy import text

from cli.accounts import NewAccount, create_account
from cli.client import ApiClient, Credentials
from cli.local.ports import free_port
from cli.local.processes import api_command, sweeper_command, worker_command
from models.database import Database, open_database
from models.migrate import migrate
from models.run import Run
from models.status import TERMINAL_RUN_STATUSES
from models.wire import GoalPlan, InputAssets
from sandbox.csv_files import CONTACT_COLUMNS
from sandbox.people import Person
from tests.faults.machine.clocks import Clocks
from tests.faults.machine.fleet import ROOT, Fleet, running_fleet
from tests.faults.machine.relay import Relay, running_relays, to_port, to_socket
from tests.faults.machine.servers import Postgres, Valkey, running_postgres, running_valkey
from tests.faults.machine.world import World, running_world
from tests.pgbouncer import PgBouncer, running_pgbouncer
from tests.rabbitmq import RabbitMQ, running_rabbitmq

WORKERS = ("worker-1", "worker-2")
RELAYED = "worker-1"
"""The worker whose connections to servers all go through relays."""
PROCESSES_EACH = 2
Broker = Literal["redis", "rabbitmq"]
Route = Literal["direct", "pgbouncer"]
"""How the engine connects to Postgres: directly, or through a pooler in transaction mode."""
CREDITS = 1_000_000_000
LIVE_LEASES = text("""
SELECT stage, number, worker, first_position, last_position,
       extract(epoch FROM coalesce(CAST(:at AS timestamptz), clock_timestamp()) - lease_expires_at)::float8 AS overdue_s
FROM run_chunks WHERE run_id = :run_id AND status = 'leased' AND lease_expires_at > clock_timestamp()
ORDER BY stage, number
""")


@dataclass(frozen=True, slots=True)
class WorkedChunk:
    """A chunk that was being worked at the injection. `overdue_s` is negative while its lease was valid."""

    stage: str
    number: int
    worker: str
    first_position: int
    last_position: int
    overdue_s: float

    @property
    def worker_name(self) -> str:
        """The worker's name in the fleet: that of its first process, without the number of a further one."""
        return "-".join(self.worker.partition("@")[0].split("-")[:2])

    @property
    def pid(self) -> int:
        """The worker process that works it."""
        return int(self.worker.rpartition("/")[2])


@dataclass(frozen=True, slots=True)
class FaultEngine:
    """A running engine, with everything that faults and checks need."""

    postgres: Postgres
    valkey: Valkey
    rabbitmq: RabbitMQ | None
    pgbouncer: PgBouncer | None
    relays: Sequence[Relay]
    clocks: Clocks
    fleet: Fleet
    world: World
    database: Database
    credentials: Credentials
    account: NewAccount
    export_dir: Path

    def create_run(self, people: Sequence[Person]) -> UUID:
        """Create a run of these people over HTTP."""
        with ApiClient(self.credentials) as client:
            return UUID(client.create_run(contacts_of(people), "full_pipeline"))

    def create_run_and_die(self, people: Sequence[Person]) -> UUID:
        """Create a run whose creator is killed after the commit, before it sends the chain."""
        assets = InputAssets.model_validate({"contacts": contacts_of(people)})
        plan = GoalPlan(pipeline_id="email_discovery_v1", preset="full_pipeline", input_assets=assets)
        creator = self.python(
            "tests.faults.machine.killed_creator", str(self.account.account_id), stdin=plan.model_dump_json()
        )
        return UUID(creator.stdout.strip())

    def python(self, module: str, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a module with the engine's settings in a process of its own, and wait for its end."""
        command = [sys.executable, "-m", module, *arguments]
        environment = {**os.environ, **self.fleet.environment}
        return subprocess.run(
            command, cwd=ROOT, env=environment, input=stdin, capture_output=True, text=True, check=False, timeout=30
        )

    def worked_chunks(self, run_id: UUID, at: datetime | None = None) -> list[WorkedChunk]:
        """The chunks that are being worked, and how long overdue each lease was `at` an earlier moment, or is now."""
        with self.database.transaction() as session:
            rows = session.execute(LIVE_LEASES, {"run_id": run_id, "at": at})
            return [WorkedChunk(**row._asdict()) for row in rows]

    def has_event(self, run_id: UUID, stage: str, kind: str) -> bool:
        """Whether a stage of a run has an event of this kind."""
        query = text("SELECT EXISTS (SELECT FROM run_events WHERE run_id = :id AND stage = :stage AND kind = :kind)")
        with self.database.transaction() as session:
            return bool(session.execute(query, {"id": run_id, "stage": stage, "kind": kind}).scalar_one())

    def is_over(self, run_id: UUID) -> bool:
        """Whether a run has ended."""
        with self.database.transaction() as session:
            return session.get_one(Run, run_id).status in TERMINAL_RUN_STATUSES

    def valkey_client(self) -> redis.Redis:
        """A client of the broker's database, unless the broker is RabbitMQ."""
        return redis.Redis.from_url(self.valkey.url, db=1)

    def forget_patterns(self) -> None:
        """Delete what earlier runs learned: it would make the next round faster than the one before."""
        with self.database.transaction() as session:
            session.execute(text("TRUNCATE domain_patterns, lookups"))

    def now(self) -> datetime:
        """The time on the clock of the database, which all times of a run are based on."""
        with self.database.transaction() as session:
            moment: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
            return moment


@contextmanager
def running_fault_engine(home: Path, broker: Broker = "redis", route: Route = "direct") -> Iterator[FaultEngine]:
    """Start everything and wait until it is ready. Nothing is left when the block ends."""
    with ExitStack() as stack:
        world = stack.enter_context(running_world())
        postgres = stack.enter_context(running_postgres(home / "postgres"))
        valkey = stack.enter_context(running_valkey(home / "valkey", free_port(0)))
        rabbitmq = stack.enter_context(running_rabbitmq(home / "rabbitmq")) if broker == "rabbitmq" else None
        pgbouncer = _pgbouncer(stack, home, postgres) if route == "pgbouncer" else None
        database = open_database(postgres.url)
        stack.callback(database.close)
        migrate(database)
        account = create_account(database, "Example Account", CREDITS)
        api_port = free_port(0)
        environment = {
            **world.settings,
            "DATABASE_URL": pgbouncer.url_of() if pgbouncer else postgres.url,
            "REDIS_URL": valkey.url,
            "BROKER_URL": rabbitmq.url if rabbitmq else "",
            "EXPORT_DIR": str(home / "exports"),
        }
        fleet = stack.enter_context(running_fleet(environment, home / "logs"))
        relays = _put_behind_relays(stack, fleet, pgbouncer or postgres, valkey, rabbitmq)
        clocks = Clocks(home / "clocks")
        for name in (*WORKERS, "sweeper", "api"):
            fleet.set_apart(name, clocks.settings_of(name))
        for name in WORKERS:
            fleet.start(name, worker_command(name, PROCESSES_EACH))
        fleet.start("sweeper", sweeper_command())
        fleet.start("api", api_command(api_port))
        credentials = Credentials(f"http://127.0.0.1:{api_port}", account.api_key)
        engine = FaultEngine(
            postgres=postgres,
            valkey=valkey,
            rabbitmq=rabbitmq,
            pgbouncer=pgbouncer,
            relays=relays,
            clocks=clocks,
            fleet=fleet,
            world=world,
            database=database,
            credentials=credentials,
            account=account,
            export_dir=home / "exports",
        )
        wait_until(lambda: api_answers(credentials.api_url), "the API's first answer", seconds=30)
        yield engine


def _pgbouncer(stack: ExitStack, home: Path, postgres: Postgres) -> PgBouncer:
    return stack.enter_context(running_pgbouncer(home / "pgbouncer", postgres.url))


def _put_behind_relays(
    stack: ExitStack, fleet: Fleet, postgres: Postgres | PgBouncer, valkey: Valkey, rabbitmq: RabbitMQ | None
) -> Sequence[Relay]:
    ports = [valkey.port, *([rabbitmq.port] if rabbitmq else [])]
    to_postgres = to_port(postgres.port) if isinstance(postgres, PgBouncer) else to_socket(postgres.socket_path)
    relays = stack.enter_context(running_relays(to_postgres, *map(to_port, ports)))
    settings = {"DATABASE_URL": postgres.url_by(relays[0].port), "REDIS_URL": valkey.url_by(relays[1].port)}
    if rabbitmq:
        settings["BROKER_URL"] = rabbitmq.url_by(relays[2].port)
    fleet.set_apart(RELAYED, settings)
    return relays


def contacts_of(people: Sequence[Person]) -> list[dict[str, str]]:
    """Contacts as a client sends them."""
    return [{column: getattr(person, column) for column in CONTACT_COLUMNS} for person in people]


def api_answers(url: str) -> bool:
    """Whether the API is ready."""
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Await a condition. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {seconds:.0f} s")
        time.sleep(0.02)
