"""How many states a process of the API answers, and how soon who watches a run sees it change.

`--runs` open runs of one account are read in turn over kept connections: of the engine, of a bare ASGI application that
sends the same bytes, and of the endpoint that one writes first (a session of the ORM for each request). All three are
uvicorn with one process, and take turns; once while nothing else happens, once while two workers work. The 99th
percentile is taken at half of the requests per second that the process can answer.

Then `--watchers` streams are opened at one process: what they add to its size, and the time from a worker's writing a
state until its watcher has it. Ends in one line of JSON.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import httpx
import psutil
import redis
import uvloop

from bench.contenders.engine import CREDITS
from bench.contenders.processes import answers, instant_worker, is_ready
from bench.contenders.servers import Servers, running_servers
from bench.contenders.status_apps import BODY
from bench.reporting.machine import ROOT
from bench.reporting.results import publish
from bench.reporting.turns import report, significant, take_turns
from cli.accounts import NewAccount, create_account
from cli.local.ports import free_port
from cli.local.processes import Engine, api_command, running_engine
from models.database import Database, open_database
from models.migrate import migrate
from models.run import Run
from models.transitions import touch_run
from models.wire import GoalPlan
from pipeline.credits import RateCard
from pipeline.runs import live_state
from pipeline.runs.create import create_run
from settings import load_settings
from worker.dispatch import send_chain

OURS, BARE, NAIVE = "Growth engine", "bare ASGI application", "a session of the ORM each"
APPS = {BARE: "bench.contenders.status_apps:bare", NAIVE: "bench.contenders.status_apps:naive"}
CONNECTIONS = 50
LIVE_S = 3600.0
BUSY_CONTACTS = 200_000
IDLE, BUSY = "idle", "workers busy"
RATE, MEDIAN, P99 = "requests/s", "median: ms", "99 % at half of that: ms"
CHANGES = 200


@dataclass(frozen=True, slots=True)
class Scene:
    """The open runs, and what serves them."""

    engine: Engine
    database: Database
    redis: redis.Redis
    account: NewAccount
    runs: Sequence[UUID]
    ports: Mapping[str, int]
    seconds: float


def main() -> None:
    """Measure, and print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=1000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=4.0)
    arguments.add_argument("--watchers", type=int, default=2000)
    options = arguments.parse_args()
    with running_servers() as servers, running_scene(servers, options.runs, options.seconds) as scene:
        turns = {name: partial(measure, scene, name, IDLE) for name in (OURS, BARE, NAIVE)}
        table = take_turns(turns, options.rounds)
        with busy_workers(scene):
            busy = {name: partial(measure, scene, name, BUSY) for name in (OURS, BARE, NAIVE)}
            table.add_all(take_turns(busy, options.rounds))
        watched = uvloop.run(watch(scene, options.watchers))
    for column, value in watched.items():
        table.add(OURS, column, [value])
    figures = {
        "of_bare": table.ratio(f"{IDLE}: {RATE}", OURS, BARE),
        "of_naive": table.ratio(f"{IDLE}: {RATE}", OURS, NAIVE),
        "busy_of_bare": table.ratio(f"{BUSY}: {RATE}", OURS, BARE),
        "busy_of_naive": table.ratio(f"{BUSY}: {RATE}", OURS, NAIVE),
        "p99_ms": significant(table.median(OURS, f"{IDLE}: {P99}") or 0),
        "busy_p99_ms": significant(table.median(OURS, f"{BUSY}: {P99}") or 0),
        **{key: significant(watched[column]) for key, column in WATCHED.items()},
    }
    publish("status", f"The states of {options.runs:,} runs, read from one process", table, figures, vars(options))


WATCHED = {
    "watchers_mb": "process with watchers: MB",
    "watchers_add_mb": "of that for the watchers: MB",
    "push_ms": "change until it is seen: ms",
}


@contextmanager
def running_scene(servers: Servers, runs: int, seconds: float) -> Iterator[Scene]:
    """Open the runs, and start the three applications."""
    with ExitStack() as stack:
        url = stack.enter_context(servers.new_database("status"))
        database = stack.enter_context(closing(open_database(url, pool_size=2)))
        migrate(database)
        account = create_account(database, "Bench", CREDITS)
        server = stack.enter_context(redis.Redis.from_url(servers.redis_url))
        opened = [open_run(database, server, account.account_id) for _ in range(runs)]
        body = servers.home / "state.json"
        with database.transaction() as session:
            body.write_text(live_state.build(session, session.get_one(Run, opened[0])).body)
        (servers.home / "exports").mkdir()
        settings = {
            "DATABASE_URL": url,
            "REDIS_URL": servers.redis_url,
            "EXPORT_DIR": str(servers.home / "exports"),
            "REQUESTS_PER_MINUTE": "1000000000",
            "PYTHONPATH": str(ROOT),
            BODY: str(body),
        }
        engine = stack.enter_context(running_engine(settings, servers.home / "logs"))
        ports = {name: free_port(0) for name in (OURS, *APPS)}
        for name, port in ports.items():
            command = list(api_command(port))
            engine.start(
                f"api-{port}", *(APPS.get(name, word) if word == "web.app:create_app" else word for word in command)
            )
        path = path_of(opened[0])
        headers = {"Authorization": f"Bearer {account.api_key}"}
        for name, port in ports.items():
            engine.wait_until(partial(answers, f"http://127.0.0.1:{port}{path}", headers), name)
        yield Scene(engine, database, server, account, opened, ports, seconds)


def open_run(database: Database, server: redis.Redis, account_id: UUID) -> UUID:
    """A run that nobody works, with its live copy."""
    contacts = [{"full_name": f"Person{number} Name", "domain": "d.example.com"} for number in range(10)]
    plan = plan_of(contacts)
    with database.transaction() as session:
        run_id = create_run(session, account_id, plan, rate_card=RateCard.of(load_settings())).run_id
        state = live_state.build(session, session.get_one(Run, run_id))
    live_state.store(server, state, LIVE_S)
    return run_id


def plan_of(contacts: Sequence[Mapping[str, str]]) -> GoalPlan:
    """A run of both stages."""
    return GoalPlan.model_validate(
        {
            "pipeline_id": "email_discovery_v1",
            "preset": "full_pipeline",
            "input_assets": {"contacts": list(contacts)},
        }
    )


@contextmanager
def busy_workers(scene: Scene) -> Iterator[None]:
    """Two workers with more to do than the measurement takes."""
    workers = [scene.engine.start(f"worker-{number}", *instant_worker(number)) for number in (1, 2)]
    for worker in workers:
        scene.engine.wait_until(partial(is_ready, worker), worker.name, seconds=60)
    contacts = [
        {"full_name": f"Person{number} Name", "company": "S", "domain": f"d{number // 10}.example.com"}
        for number in range(BUSY_CONTACTS)
    ]
    with scene.database.transaction() as session:
        run = create_run(session, scene.account.account_id, plan_of(contacts), rate_card=RateCard.of(load_settings()))
    send_chain(run.run_id, run.preset)
    yield
    for worker in workers:
        worker.ask_to_stop()
        worker.wait_until_stopped()
        scene.engine.processes.remove(worker)


def measure(scene: Scene, name: str, while_: str) -> Mapping[str, Sequence[float]]:
    """Requests per second, and the times of answers at half of that."""
    fast = load(scene, name, 0)
    slow = load(scene, name, fast["requests_per_s"] / 2)
    return {
        f"{while_}: {RATE}": [fast["requests_per_s"]],
        f"{while_}: {MEDIAN}": [fast["median_ms"]],
        f"{while_}: {P99}": [slow["p99_ms"]],
    }


def load(scene: Scene, name: str, rate: float) -> dict[str, float]:
    """Ask from a process of its own."""
    paths = [path_of(run_id) for run_id in scene.runs]
    given = ["127.0.0.1", scene.ports[name], scene.account.api_key, CONNECTIONS, scene.seconds, rate]
    command = [sys.executable, "-m", "bench.contenders.load", *map(str, given), *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


async def watch(scene: Scene, watchers: int) -> dict[str, float]:
    """Open streams, and write states: what streams add to the process, and how soon a state arrives."""
    process = api_process(scene)
    before = process.memory_info().rss
    arrived: dict[str, asyncio.Future[float]] = {}
    headers = {"Authorization": f"Bearer {scene.account.api_key}"}
    limits = httpx.Limits(max_connections=None)
    url = f"http://127.0.0.1:{scene.ports[OURS]}"
    watched = [scene.runs[number % len(scene.runs)] for number in range(watchers)]
    opened = [asyncio.get_running_loop().create_future() for _ in watched]
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=600, trust_env=False) as client:
        streams = []
        for first in range(0, watchers, 100):
            batch = range(first, min(first + 100, watchers))
            streams += [asyncio.create_task(follow(client, watched[n], opened[n], arrived)) for n in batch]
            await asyncio.wait_for(asyncio.gather(*opened[first : batch.stop]), 60)
        await asyncio.sleep(3)  # nothing to wait for: what the process frees by then, it frees
        with_watchers = process.memory_info().rss
        report(f"{watchers} streams are open")
        taken = [await change(scene, scene.runs[number % len(scene.runs)], arrived) for number in range(CHANGES)]
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    return {
        WATCHED["watchers_mb"]: with_watchers / 1e6,
        WATCHED["watchers_add_mb"]: (with_watchers - before) / 1e6,
        WATCHED["push_ms"]: 1000 * statistics.median(taken),
    }


async def follow(
    client: httpx.AsyncClient, run_id: UUID, opened: "asyncio.Future[None]", arrived: "dict[str, asyncio.Future[float]]"
) -> None:
    """Read a stream. The time at which a state arrived is noted once for each run and version."""
    async with client.stream("GET", f"{path_of(run_id)}/events") as response:
        async for line in response.aiter_lines():
            if not line.startswith("data: ") or '"stage_status"' not in line:
                continue
            if not opened.done():
                opened.set_result(None)
            waiting = arrived.get(str(run_id))
            if waiting and not waiting.done():
                waiting.set_result(time.perf_counter())


async def change(scene: Scene, run_id: UUID, arrived: "dict[str, asyncio.Future[float]]") -> float:
    """Write a new state of a run, as a worker does. Returns the seconds until a watcher had it."""
    with scene.database.transaction() as session:
        state = live_state.build(session, touch_run(session, run_id, 0))
    arrived[str(run_id)] = asyncio.get_running_loop().create_future()
    wrote = time.perf_counter()
    live_state.store(scene.redis, state, LIVE_S)
    return await asyncio.wait_for(arrived[str(run_id)], 10) - wrote


def api_process(scene: Scene) -> psutil.Process:
    """The engine's process among the three."""
    started = next(each for each in scene.engine.processes if each.name == f"api-{scene.ports[OURS]}")
    return psutil.Process(started.popen.pid)


def path_of(run_id: UUID) -> str:
    """Where a run is read."""
    return f"/api/v1/growth/runs/{run_id}"


if __name__ == "__main__":
    main()
