"""From a thousand contacts to a million: what a contact costs while runs grow.

Each size has a new database. A file is sent with `growth submit`, worked by two worker processes with stages that
contact no server, and its exports are made and downloaded. Measured are

- the time from the command's start until the run is pending, and until it is completed;
- the time that compiling took, which writes CSV and JSON, and the rows per second of each format: downloaded, and made
  before unless it was there;
- the bytes of a contact in tables and indexes;
- the largest resident size of the command and of each of the engine's processes.

The picture has logarithmic scales: what costs the same per contact at each size is a level line. Ends in one line of
JSON. Linux only: the sizes of processes are read from `/proc`.
"""

import argparse
import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg

from bench.contenders.engine import CONTACTS_A_DOMAIN, CREDITS
from bench.contenders.processes import answers, instant_worker, is_ready, peaks_mb
from bench.contenders.servers import Servers, running_servers
from bench.reporting.curves import draw_curves
from bench.reporting.machine import ROOT
from bench.reporting.results import folder, publish
from bench.reporting.turns import Table, report
from cli.accounts import create_account
from cli.client import Credentials
from cli.local.ports import free_port
from cli.local.processes import Engine, api_command, running_engine, sweeper_command
from models.database import open_database
from models.migrate import migrate

SIZES = (1_000, 10_000, 100_000, 1_000_000)
WORKERS = 2
FORMATS = ("csv", "json", "ndjson", "excel", "xlsx", "parquet")
SETTINGS = {"MAX_CONTACTS": "1000000", "MAX_BODY_BYTES": str(512 * 1024 * 1024)}
POLL_S = 0.05
TIMES = """
SELECT extract(epoch FROM r.created_at), extract(epoch FROM r.finished_at),
  extract(epoch FROM (SELECT max(s.finished_at) FROM run_stages s WHERE s.run_id = r.id)), r.status, r.error_message
FROM runs r
"""
TABLES = """
SELECT sum(pg_table_size(c.oid)), sum(pg_indexes_size(c.oid))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind = 'r'
"""
MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Scene:
    """The engine at work on a database of its own."""

    engine: Engine
    credentials: Credentials
    connection: "psycopg.Connection[Any]"
    home: Path


def main() -> None:
    """Measure each size, and print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options = arguments.parse_args()
    measured: dict[int, dict[str, float]] = {}
    with running_servers() as servers:
        for size in options.sizes:
            with running_scene(servers, size) as scene:
                measured[size] = measure(scene, size)
            report(f"{size:,} contacts: {measured[size]}")
    table = Table()
    for size, figures in measured.items():
        for column, value in figures.items():
            table.add(column, f"{size:,} contacts", [value])
    publish("scale", "What a contact costs while runs grow", table, figures_of(measured), vars(options))
    (folder() / "scale.svg").write_text(
        draw_curves("What a contact costs while runs grow", "contacts", curves(measured))
    )


@contextmanager
def running_scene(servers: Servers, size: int) -> Iterator[Scene]:
    """Start workers, sweeper and API with a new database, and stop them when the block ends."""
    home = servers.home / f"scale_{size}"
    (home / "exports").mkdir(parents=True)
    with ExitStack() as stack:
        url = stack.enter_context(servers.new_database(f"scale_{size}"))
        with closing(open_database(url, pool_size=1)) as database:
            migrate(database)
            account = create_account(database, "Bench", CREDITS)
        servers.empty_valkey()
        settings = {
            "DATABASE_URL": url,
            "REDIS_URL": servers.redis_url,
            "EXPORT_DIR": str(home / "exports"),
            "PYTHONPATH": str(ROOT),
            **SETTINGS,
        }
        engine = stack.enter_context(running_engine(settings, home / "logs"))
        port = free_port(0)
        workers = [engine.start(f"worker-{number}", *instant_worker(number)) for number in range(1, WORKERS + 1)]
        engine.start("sweeper", *sweeper_command())
        engine.start("api", *api_command(port))
        credentials = Credentials(f"http://127.0.0.1:{port}", account.api_key)
        for worker in workers:
            engine.wait_until(partial(is_ready, worker), worker.name, seconds=60)
        engine.wait_until(lambda: answers(f"{credentials.api_url}/readyz"), "the API")
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        yield Scene(engine, credentials, connection, home)


def measure(scene: Scene, size: int) -> dict[str, float]:
    """All figures of one run of this size."""
    contacts = scene.home / "contacts.csv"
    write_contacts(contacts, size)
    began = time.time()
    run_id, command_mb = submit(scene, contacts)
    created, finished, stages_ended = times_of_run(scene)
    exported = {f"{name}: rows/s": size / seconds for name, seconds in exports(scene, run_id).items()}
    tables, indexes = (float(each or 0) for each in scene.connection.execute(TABLES).fetchone() or (0, 0))
    return {
        "until pending: s": created - began,
        "until completed: s": finished - began,
        "worked: contacts/s": size / (finished - created),
        "µs a contact": MICROSECONDS * (finished - created) / size,
        "compiled (CSV and JSON): s": finished - stages_ended,
        **exported,
        "tables: bytes a contact": tables / size,
        "indexes: bytes a contact": indexes / size,
        "command: MB": command_mb,
        **{f"{kind}: MB": megabytes for kind, megabytes in peaks_mb(scene.engine).items()},
    }


def write_contacts(path: Path, size: int) -> None:
    """Write a file of contacts. Their company tells the stages to answer at once."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["first_name", "last_name", "company", "domain"])
        rows.writerows([f"Person{n}", f"Name{n}", "Z", f"d{n // CONTACTS_A_DOMAIN}.example.com"] for n in range(size))


def submit(scene: Scene, contacts: Path) -> tuple[str, float]:
    """Send the file; return the run's id and the peak size of the command in megabytes."""
    command = [str(Path(sys.executable).with_name("growth")), "submit", str(contacts)]
    environment = {
        **os.environ,
        "GROWTH_API_URL": scene.credentials.api_url,
        "GROWTH_API_KEY": scene.credentials.api_key,
    }
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        output = process.stdout.read() if process.stdout else ""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"growth submit ended with {process.returncode}: {output}")
    run_id = next(line for line in output.splitlines() if line.startswith("Run ")).split()[1].rstrip(":")
    return run_id, used.ru_maxrss / 1024


def times_of_run(scene: Scene) -> tuple[float, float, float]:
    """Wait until the only run has ended: when it was created, when it ended, and when its last stage did."""
    while True:
        created, finished, stages_ended, status, error = scene.connection.execute(TIMES).fetchone() or (0,) * 5
        if finished:
            break
        scene.engine.check()
        time.sleep(POLL_S)
    if status != "completed":
        raise SystemExit(f"The run is {status}: {error}")
    return float(created), float(finished), float(stages_ended)


def exports(scene: Scene, run_id: str) -> Mapping[str, float]:
    """The seconds that the file of each format takes to be made, unless it is there, and to be downloaded."""
    seconds = {}
    headers = {"Authorization": f"Bearer {scene.credentials.api_key}"}
    with httpx.Client(base_url=scene.credentials.api_url, headers=headers, trust_env=False, timeout=60) as client:
        run = f"/api/v1/growth/runs/{run_id}"
        for name in FORMATS:
            began = time.monotonic()
            client.post(f"{run}/exports", params={"format": name}).raise_for_status()
            while (handle := _handle(client.get(run).raise_for_status().json(), name)) is None:
                scene.engine.check()
                time.sleep(POLL_S)
            with client.stream("GET", handle["download_url"]) as response:
                response.raise_for_status()
                received = sum(len(piece) for piece in response.iter_raw())
            if received != handle["bytes"]:
                raise SystemExit(f"{name}: {received} bytes of {handle['bytes']} came")
            seconds[name] = time.monotonic() - began
    return seconds


def figures_of(measured: Mapping[int, Mapping[str, float]]) -> dict[str, object]:
    """The line of JSON: of the largest size, and by how much a contact costs more there than in a run of 10,000."""
    largest = measured[max(measured)]
    figures: dict[str, object] = {"contacts": max(measured)}
    if SIZES[1] in measured:
        figures["cost_of_10000"] = round(largest["µs a contact"] / measured[SIZES[1]]["µs a contact"], 3)
    names = {
        "until_pending_s": "until pending: s",
        "contacts_per_s": "worked: contacts/s",
        "compile_s": "compiled (CSV and JSON): s",
        "table_bytes": "tables: bytes a contact",
        "index_bytes": "indexes: bytes a contact",
        **{f"{name}_rows_per_s": f"{name}: rows/s" for name in FORMATS},
    }
    figures |= {key: round(largest[column], 1) for key, column in names.items()}
    return figures | {"peak_mb": {c.partition(":")[0]: round(v) for c, v in largest.items() if c.endswith(": MB")}}


def curves(measured: Mapping[int, Mapping[str, float]]) -> Mapping[str, Sequence[tuple[float, float]]]:
    """What the picture shows."""
    shown = ("µs a contact", "until pending: s", "csv: rows/s", "worker: MB", "api: MB", "command: MB")
    return {column: [(size, figures[column]) for size, figures in measured.items()] for column in shown}


def _handle(state: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    return next((handle for handle in state["export_handles"] if handle["format"] == name), None)


if __name__ == "__main__":
    main()
