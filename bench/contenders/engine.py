"""Runs the engine with stages that contact no server: workers and sweeper as `growth up` starts them, no API.

A run is created as the README says: `create_run` in a transaction, then `send_chain`, in this process.
"""

import itertools
import math
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from uuid import UUID

import psutil
import psycopg

from bench.contenders.contender import Begun, pids_of_family, seconds_used
from bench.contenders.servers import Servers
from bench.reporting.machine import ROOT
from cli.accounts import create_account
from cli.local.processes import Engine, EngineProcess, running_engine, sweeper_command, worker_command
from models.database import Database, open_database
from models.migrate import migrate
from models.wire import GoalPlan
from pipeline.credits import RateCard
from pipeline.runs.create import create_run
from settings import load_settings
from worker.dispatch import send_chain

ENGINE = "Growth engine"
WORKERS, CONCURRENCY = 2, 1
"""Two worker processes in all, as each of the peers has."""
APP = "bench.contenders.engine_stages"
"""Instead of `worker.app`: the same application, with stages that contact no server."""
CREDITS = 2_000_000_000
CONTACTS_A_DOMAIN = 10
COMPLETED = """
SELECT status, contact_count, (preview -> 'delivered_counts' ->> 'verified_emails')::int FROM runs WHERE id = %s
"""
FIRST_OUTCOME_MS = """
SELECT 1000 * extract(epoch FROM min(o.recorded_at) - r.created_at)
FROM runs r JOIN outcomes o ON o.run_id = r.id WHERE r.id = %s GROUP BY r.id
"""

_numbers = itertools.count(1)


class RunningEngine:
    """The engine at work: a `Contender`."""

    def __init__(self, engine: Engine, database: Database, database_url: str, account_id: UUID) -> None:
        self._engine, self._database, self._account_id = engine, database, account_id
        self._connection = psycopg.connect(database_url, autocommit=True)
        self._domains_used = 0
        self._workers = [self._start_worker(number) for number in range(WORKERS)]
        self._sweeper = engine.start("sweeper", *sweeper_command())
        for worker in self._workers:
            self._wait_until_ready(worker)
        self._creating_s = 0.0

    def begin(self, contacts: int, mode: str, account_id: UUID | None = None) -> Begun:
        domains = self.domains_of_next_run(contacts)
        plan = _plan_of(contacts, mode, domains)
        self._domains_used += len(domains)
        begun, processor = time.monotonic(), time.process_time()
        with self._database.transaction() as session:
            run = create_run(session, account_id or self._account_id, plan, rate_card=RateCard.of(load_settings()))
        send_chain(run.run_id, run.preset)
        self._creating_s += time.process_time() - processor
        return Begun(str(run.run_id), begun)

    def is_complete(self, run_id: str) -> bool:
        row = self._connection.execute(COMPLETED, (run_id,)).fetchone()
        status, contacts, verified = row or ("gone", 0, 0)
        if status not in ("pending", "running") and (status != "completed" or verified != contacts):
            raise SystemExit(f"The engine's run is {status}: {verified} of {contacts} contacts are verified.")
        return bool(status == "completed")

    def recorded(self, run_id: str) -> int:
        row = self._connection.execute("SELECT count(*) FROM outcomes WHERE run_id = %s", (run_id,)).fetchone()
        return int(row[0]) if row else 0

    def analyse(self) -> None:
        self._connection.execute("VACUUM ANALYZE")

    def processor_seconds(self) -> float:
        others = (psutil.Process(each.popen.pid) for each in (*self._workers, self._sweeper))
        return self._creating_s + seconds_used(others)

    def worker_pids(self) -> Sequence[int]:
        return pids_of_family(self._workers[0].popen.pid)

    def kill_worker(self) -> None:
        popen = self._workers[0].popen
        for pid in self.worker_pids():
            os.kill(pid, signal.SIGKILL)
        popen.wait()

    def start_worker_again(self) -> None:
        self._workers[0] = self._start_worker(0)

    def open_account(self, name: str) -> UUID:
        """Open another account."""
        return create_account(self._database, name, CREDITS).account_id

    def first_outcome_ms(self, run_id: str) -> float:
        """How long after its creation a run had its first outcome, on the database's clock."""
        row = self._connection.execute(FIRST_OUTCOME_MS, (run_id,)).fetchone()
        return float(row[0]) if row else 0.0

    def domains_of_next_run(self, contacts: int) -> list[str]:
        """The domains of the run that `begin` will create next, in order. No run before had them."""
        first, count = self._domains_used, math.ceil(contacts / CONTACTS_A_DOMAIN)
        return [f"d{number}.example.com" for number in range(first, first + count)]

    def close(self) -> None:
        self._connection.close()

    def _start_worker(self, number: int) -> EngineProcess:
        name = f"worker-{number + 1}"
        command = worker_command(name, CONCURRENCY)
        return self._engine.start(name, *(APP if word == "worker.app" else word for word in command))

    def _wait_until_ready(self, worker: EngineProcess) -> None:
        self._engine.wait_until(lambda: " ready." in worker.log_path.read_text(), worker.name, seconds=60)


def _plan_of(contacts: int, mode: str, domains: Sequence[str]) -> GoalPlan:
    """Ten contacts at each domain. Their company tells the stages the mode."""
    people = [
        {"full_name": f"Person{number} Name{number}", "company": mode, "domain": domain}
        for domain in domains
        for number in range(CONTACTS_A_DOMAIN)
    ]
    return GoalPlan.model_validate(
        {
            "pipeline_id": "email_discovery_v1",
            "preset": "full_pipeline",
            "input_assets": {"contacts": people[:contacts]},
        }
    )


@contextmanager
def running_growth(servers: Servers, environment: Mapping[str, str] | None = None) -> Iterator[RunningEngine]:
    """Start the engine with a database of its own, and stop it when the block ends."""
    name = f"engine_{next(_numbers)}"
    home = servers.home / name
    with ExitStack() as stack:
        url = stack.enter_context(servers.new_database(name))
        database = open_database(url, pool_size=1)
        stack.callback(database.close)
        migrate(database)
        account = create_account(database, "Bench", CREDITS)
        settings = {
            "DATABASE_URL": url,
            "REDIS_URL": servers.redis_url,
            "EXPORT_DIR": str(home / "exports"),
            "PYTHONPATH": str(ROOT),
            **(environment or {}),
        }
        (home / "exports").mkdir(parents=True)
        engine = stack.enter_context(running_engine(settings, home / "logs"))
        running = RunningEngine(engine, database, url, account.account_id)
        stack.callback(running.close)
        yield running
