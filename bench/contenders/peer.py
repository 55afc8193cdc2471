"""Runs a peer: its two workers and its submitter, by the Python of the peers' environment."""

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from bench.contenders.contender import Begun, pids_of_family, seconds_used
from bench.contenders.servers import Servers
from bench.peers.work import DATABASE_URL, REDIS_URL, STAGES
from bench.reporting.machine import ROOT, peers_python

INSTALL = "The peers are not installed: `make bench` does it, with pip, from bench/peers/requirements.txt."
STARTED_WITHIN_S = 60
STOPPED_WITHIN_S = 5
TABLES = """
CREATE TABLE runs (
    run_id text PRIMARY KEY, total int NOT NULL, done int NOT NULL DEFAULT 0, status text NOT NULL DEFAULT 'running',
    counted int
);
CREATE TABLE results (
    run_id text, stage text, position int, outcome text NOT NULL, PRIMARY KEY (run_id, stage, position)
);
"""
ROW = "SELECT status = 'completed', counted, total FROM runs WHERE run_id = %s"
CELERY = ("celery", "-A", "bench.peers.in_celery", "worker", "--without-gossip", "--without-mingle",
          "--without-heartbeat", "--loglevel", "INFO", "--hostname")  # fmt: skip

_runs, _peers = itertools.count(1), itertools.count(1)


@dataclass(frozen=True, slots=True)
class Peer:
    """How a peer is started: `python -m` with these arguments, for its tables, each worker, and the submitter."""

    name: str
    submitter: Sequence[str]
    workers: Sequence[Sequence[str]] = ()
    schema: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def _celery_workers(pool: str, size: int) -> Sequence[Sequence[str]]:
    return [(*CELERY, f"w{number}@peer", "--pool", pool, "--concurrency", str(size)) for number in (1, 2)]


FLOOR = Peer("floor: asyncio and COPY", ("bench.peers.floor",))
CELERY_CHUNKS = Peer(
    "Celery, tasks of 200",
    ("bench.peers.in_celery", "chunks"),
    _celery_workers("prefork", 1),
    environment={"BENCH_PREFETCH": "1"},
)
CELERY_CONTACTS = Peer(
    "Celery, a task a contact (500)", ("bench.peers.in_celery", "contacts"), _celery_workers("threads", 100)
)
PROCRASTINATE = Peer(
    "Procrastinate, jobs of 200",
    ("bench.peers.in_procrastinate", "submit"),
    [("bench.peers.in_procrastinate", "worker")] * 2,
    schema=("bench.peers.in_procrastinate", "schema"),
)
DBOS = Peer(
    "DBOS, workflows of 200",
    ("bench.peers.in_dbos", "submit"),
    [("bench.peers.in_dbos", "worker", f"w{number}") for number in (1, 2)],
)


class RunningPeer:
    """A peer at work: a `Contender`."""

    def __init__(self, peer: Peer, database_url: str, log_folder: Path, environment: Mapping[str, str]) -> None:
        self._peer, self._logs = peer, log_folder
        self._environment = {**os.environ, **environment, **peer.environment}
        self._connection = psycopg.connect(database_url, autocommit=True)
        self._workers: list[subprocess.Popen[bytes]] = []
        self._everything: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Create the tables, and start workers and submitter. Ends the program if one of them does not start."""
        self._connection.execute(TABLES)
        if self._peer.schema:
            self._popen(self._peer.schema, "schema").wait(STARTED_WITHIN_S)
        self._workers = [self._start_worker(number) for number in range(len(self._peer.workers))]
        self._submitter = self._popen(self._peer.submitter, "submitter", stdin=subprocess.PIPE)
        self._wait_until_ready(self._submitter, "submitter")

    def begin(self, contacts: int, mode: str) -> Begun:
        run_id, stdin = f"run-{next(_runs)}", self._submitter.stdin
        assert stdin is not None  # noqa: S101 - it was asked for
        self._connection.execute("INSERT INTO runs (run_id, total) VALUES (%s, %s)", (run_id, contacts))
        begun = Begun(run_id, time.monotonic())
        stdin.write(f"{run_id} {contacts} {mode}\n".encode())
        stdin.flush()
        return begun

    def is_complete(self, run_id: str) -> bool:
        row = self._connection.execute(ROW, (run_id,)).fetchone()
        is_complete, counted, total = row or (False, 0, 0)
        if is_complete and counted != total * len(STAGES):
            raise SystemExit(f"{self._peer.name}: {counted} results of {total} contacts in {len(STAGES)} stages.")
        return bool(is_complete)

    def recorded(self, run_id: str) -> int:
        row = self._connection.execute("SELECT count(*) FROM results WHERE run_id = %s", (run_id,)).fetchone()
        return int(row[0]) if row else 0

    def analyse(self) -> None:
        self._connection.execute("VACUUM ANALYZE")

    def processor_seconds(self) -> float:
        return seconds_used(psutil.Process(popen.pid) for popen in (self._submitter, *self._workers))

    def worker_pids(self) -> Sequence[int]:
        return pids_of_family(self._workers[0].pid)

    def kill_worker(self) -> None:
        os.killpg(self._workers[0].pid, signal.SIGKILL)
        self._workers[0].wait()

    def start_worker_again(self) -> None:
        self._workers[0] = self._start_worker(0)

    def close(self) -> None:
        self._connection.close()
        running = [popen for popen in self._everything if popen.poll() is None]
        for popen in running:
            os.killpg(popen.pid, signal.SIGTERM)
        for popen in running:
            try:
                popen.wait(STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                os.killpg(popen.pid, signal.SIGKILL)
                popen.wait()

    def _start_worker(self, number: int) -> "subprocess.Popen[bytes]":
        popen = self._popen(self._peer.workers[number], f"worker-{number}")
        self._wait_until_ready(popen, f"worker-{number}")
        return popen

    def _popen(self, arguments: Sequence[str], name: str, stdin: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
        self._logs.mkdir(parents=True, exist_ok=True)
        python = peers_python()
        if python is None:
            raise SystemExit(INSTALL)
        with (self._logs / f"{name}.log").open("wb") as output:
            popen = subprocess.Popen(
                [python, "-m", *arguments],
                cwd=ROOT,
                env={**self._environment, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)},
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._everything.append(popen)
        return popen

    def _wait_until_ready(self, popen: "subprocess.Popen[bytes]", name: str) -> None:
        deadline, log = time.monotonic() + STARTED_WITHIN_S, self._logs / f"{name}.log"
        while b"ready" not in log.read_bytes():
            if popen.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self._peer.name}: {name} did not start.\n{log.read_text()[-2000:]}")
            time.sleep(0.02)


@contextmanager
def running_peer(peer: Peer, servers: Servers, environment: Mapping[str, str] | None = None) -> Iterator[RunningPeer]:
    """Start a peer with a database of its own, and stop it when the block ends."""
    number = next(_peers)
    name = f"peer_{number}"
    with ExitStack() as stack:
        url = stack.enter_context(servers.new_database(name))
        given = {DATABASE_URL: url, REDIS_URL: servers.valkey_database(number), **(environment or {})}
        running = RunningPeer(peer, url, servers.home / name, given)
        stack.callback(running.close)
        running.start()
        yield running
