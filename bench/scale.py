"""From a thousand contacts to a million: what a contact costs while runs grow.

Each size has a new database. A file is sent with `growth submit`, worked by two worker processes with stages that
contact no server, and its exports are made and downloaded. Measured are

- the time from the command's start until the run is pending, and until it is completed;
- the time that compiling took, which writes CSV and JSON;
- the rows per second of each format, made on demand, and the seconds that its download took beyond that;
- the bytes of a contact in tables and indexes;
- the largest resident size of the command and of each of the engine's processes.

The picture has logarithmic scales: what costs the same per contact at each size is a level line. Ends in one line of
JSON, with what is aimed at and whether it was reached. Linux only: the sizes of processes are read from `/proc`.

Nothing is waited for without an end: what takes many times as long as it does ends the program, and says where the
logs are.
"""

import argparse
import csv
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg

from bench.contenders.engine import CONTACTS_A_DOMAIN, CREDITS
from bench.contenders.processes import Peaks, answers, instant_worker, is_ready, peak_of
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
SETTINGS = {"REQUESTS_PER_MINUTE": "1000000"}
POLL_S = 0.05
LOOK_EVERY_S = 2.0
LONGEST_S, LONGEST_S_PER_CONTACT = 180.0, 0.003
"""What anything may take: many times what it does. A million contacts have 53 minutes for each step."""
TIMES = """
SELECT extract(epoch FROM r.created_at), extract(epoch FROM r.finished_at),
  extract(epoch FROM (SELECT max(s.finished_at) FROM run_stages s WHERE s.run_id = r.id)), r.status, r.error_message,
  (SELECT sum(s.done) FROM run_stages s WHERE s.run_id = r.id)
FROM runs r
"""
TABLES = """
SELECT sum(pg_table_size(c.oid)), sum(pg_indexes_size(c.oid))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind = 'r'
"""
FORGET_EXPORTS = """
WITH forgotten AS (DELETE FROM artifacts WHERE run_id = %(run_id)s AND kind = 'export')
UPDATE runs SET export_formats = '[]' WHERE id = %(run_id)s
"""
MICROSECONDS = 1e6
LETTERS = str.maketrans("0123456789", "abcdefghij")
"""Names of people have no digits. To compare one that has them costs 29 µs instead of one."""
TARGETS: Mapping[str, tuple[float, bool]] = {
    "cost_of_10000": (1.25, False),
    "until_pending_s": (20, False),
    "peak_mb": (300, False),
    "csv_rows_per_s": (150_000, True),
}
"""What a figure is to be for a million contacts, and whether at least that; otherwise at most."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The engine at work on a database of its own."""

    engine: Engine
    credentials: Credentials
    connection: "psycopg.Connection[Any]"
    home: Path
    longest_s: float
    """How long anything may take."""


def main() -> None:
    """Measure each size, and print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options = arguments.parse_args()
    measured: dict[int, dict[str, float]] = {}
    with running_servers() as servers:
        for size in options.sizes:
            with running_scene(servers, f"scale_{size}", size) as scene:
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
def running_scene(
    servers: Servers,
    name: str,
    contacts: int,
    worker: Callable[[int], Sequence[str]] = instant_worker,
    further_settings: Mapping[str, str] | None = None,
) -> Iterator[Scene]:
    """Start workers, sweeper and API with a new database, and stop them when the block ends.

    It has to do with as many contacts as that, and fails with a `TimeoutError` if they take too long.
    """
    home, longest = servers.home / name, longest_s(contacts)
    (home / "exports").mkdir(parents=True)
    with ExitStack() as stack:
        stack.enter_context(_logs_kept(home / "logs"))
        url = stack.enter_context(servers.new_database(name))
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
            **(further_settings or {}),
        }
        engine = stack.enter_context(running_engine(settings, home / "logs"))
        port = free_port(0)
        workers = [engine.start(f"worker-{number}", *worker(number)) for number in range(1, WORKERS + 1)]
        engine.start("sweeper", *sweeper_command())
        engine.start("api", *api_command(port))
        credentials = Credentials(f"http://127.0.0.1:{port}", account.api_key)
        for each in workers:
            engine.wait_until(partial(is_ready, each), each.name, seconds=60)
        engine.wait_until(lambda: answers(f"{credentials.api_url}/readyz"), "the API", seconds=60)
        limit = f"-c statement_timeout={longest * 1000:.0f}"
        connection = stack.enter_context(psycopg.connect(url, autocommit=True, options=limit))
        yield Scene(engine, credentials, connection, home, longest)


def longest_s(contacts: int) -> float:
    """How long anything may take with so many contacts."""
    return LONGEST_S + LONGEST_S_PER_CONTACT * contacts


@contextmanager
def _logs_kept(logs: Path) -> Iterator[None]:
    """The servers' folder is deleted when the program ends. Whoever looks for what went wrong needs the logs."""
    try:
        yield
    except BaseException:
        if logs.exists():
            kept = shutil.copytree(logs, tempfile.mkdtemp(prefix="growth-bench-logs-"), dirs_exist_ok=True)
            report(f"The logs of the processes are in {kept}.")
        raise


def measure(scene: Scene, size: int) -> dict[str, float]:
    """All figures of one run of this size."""
    contacts = scene.home / "contacts.csv"
    write_contacts(contacts, size)
    began = time.time()
    run_id, command_mb = submit(scene, contacts)
    peaks = Peaks(scene.engine)
    created, finished, stages_ended = times_of_run(scene, peaks)
    tables, indexes = (float(each or 0) for each in scene.connection.execute(TABLES).fetchone() or (0, 0))
    scene.connection.execute(FORGET_EXPORTS, {"run_id": run_id})
    exported = {name: export(scene, run_id, name, scene.home / name) for name in FORMATS}
    peaks.look()
    return {
        "until pending: s": created - began,
        "until completed: s": finished - began,
        "worked: contacts/s": size / (finished - created),
        "µs a contact": MICROSECONDS * (finished - created) / size,
        "compiled (CSV and JSON): s": finished - stages_ended,
        **{f"{name} made: s": each.made_s for name, each in exported.items()},
        **{f"{name}: rows/s": size / each.made_s for name, each in exported.items()},
        **{f"{name} downloaded: s": each.downloaded_s for name, each in exported.items()},
        "tables: bytes a contact": tables / size,
        "indexes: bytes a contact": indexes / size,
        "command: MB": command_mb,
        **{f"{kind}: MB": megabytes for kind, megabytes in peaks.megabytes.items()},
    }


def write_contacts(path: Path, size: int) -> None:
    """Write a file of contacts, each with a name of letters. Their company tells the stages to answer at once."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["first_name", "last_name", "company", "domain"])
        rows.writerows(
            [f"Given{_in_letters(n)}", f"Family{_in_letters(n)}", "Z", f"d{n // CONTACTS_A_DOMAIN}.example.com"]
            for n in range(size)
        )


def _in_letters(number: int) -> str:
    return str(number).translate(LETTERS)


def submit(scene: Scene, contacts: Path, preset: str = "full_pipeline") -> tuple[str, float]:
    """Send the file; return the run's id and the peak size of the command in megabytes."""
    command = [str(Path(sys.executable).with_name("growth")), "submit", str(contacts), "--preset", preset]
    environment = {
        **os.environ,
        "GROWTH_API_URL": scene.credentials.api_url,
        "GROWTH_API_KEY": scene.credentials.api_key,
    }
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        peak_mb, deadline = 0.0, time.monotonic() + scene.longest_s
        # What `wait4` says of a child is at least what its parent had when it started it.
        while process.poll() is None:
            peak_mb = max(peak_mb, peak_of(process.pid))
            if time.monotonic() > deadline:
                process.kill()
                raise TimeoutError(f"growth submit did not end within {scene.longest_s:.0f} s.")
            time.sleep(POLL_S)
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"growth submit ended with {process.returncode}: {output}")
    run_id = next(line for line in output.splitlines() if line.startswith("Run ")).split()[1].rstrip(":")
    return run_id, peak_mb


def times_of_run(scene: Scene, peaks: Peaks) -> tuple[float, float, float]:
    """Wait until the only run has ended: when it was created, when it ended, and when its last stage did.

    Meanwhile it looks at the processes, of which a worker may replace some.
    """
    row, look_at = _times(scene), 0.0
    deadline = time.monotonic() + scene.longest_s
    while not row[1]:
        scene.engine.check()
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"The run is {row[3]} after {scene.longest_s:.0f} s: {row[5]} contacts went through a stage."
            )
        if time.monotonic() > look_at:
            peaks.look()
            look_at = time.monotonic() + LOOK_EVERY_S
        time.sleep(POLL_S)
        row = _times(scene)
    peaks.look()
    created, finished, stages_ended, status, error, _ = row
    if status != "completed":
        raise SystemExit(f"The run is {status}: {error}")
    return float(created), float(finished), float(stages_ended)


def _times(scene: Scene) -> Sequence[Any]:
    return scene.connection.execute(TIMES).fetchone() or (0,) * 6


@dataclass(frozen=True, slots=True)
class Exported:
    """A file of a run: how long it took to be made and to be downloaded, and its checksum."""

    made_s: float
    downloaded_s: float
    sha256: str


def export(scene: Scene, run_id: str, name: str, place: Path) -> Exported:
    """Have a run's file made in a format, unless it is there, and download it. Ends the program if it is not whole."""
    headers = {"Authorization": f"Bearer {scene.credentials.api_key}"}
    with httpx.Client(base_url=scene.credentials.api_url, headers=headers, trust_env=False, timeout=60) as client:
        run = f"/api/v1/growth/runs/{run_id}"
        began = time.monotonic()
        deadline = began + scene.longest_s
        client.post(f"{run}/exports", params={"format": name}).raise_for_status()
        while (handle := _handle(client.get(run).raise_for_status().json(), name)) is None:
            scene.engine.check()
            _check_time(deadline, f"The export as {name} was not made")
            time.sleep(POLL_S)
        made, digest = time.monotonic(), hashlib.sha256()
        with client.stream("GET", handle["download_url"]) as response, place.open("wb") as file:
            response.raise_for_status()
            for piece in response.iter_raw():
                digest.update(piece)
                file.write(piece)
                _check_time(deadline, f"The export as {name} was not downloaded")
        downloaded = time.monotonic()
    if (place.stat().st_size, digest.hexdigest()) != (handle["bytes"], handle["sha256"]):
        raise SystemExit(f"{name}: {place.stat().st_size} of {handle['bytes']} bytes came, or they are not the file's")
    return Exported(made - began, downloaded - made, digest.hexdigest())


def _check_time(deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"{what} in time.")


def figures_of(measured: Mapping[int, Mapping[str, float]]) -> dict[str, object]:
    """The line of JSON: of the largest size, and by how much a contact costs more there than in a run of 10,000."""
    largest = measured[max(measured)]
    figures: dict[str, Any] = {"contacts": max(measured)}
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
    peaks = {c.partition(":")[0]: round(v) for c, v in largest.items() if c.endswith(": MB")}
    aimed_at = {**figures, "peak_mb": max(peaks.values())}
    met = {name: _is_met(aimed_at[name], *target) for name, target in TARGETS.items() if name in aimed_at}
    return figures | {"peak_mb": peaks, "targets": {name: bound for name, (bound, _) in TARGETS.items()}, "met": met}


def _is_met(value: float, bound: float, at_least: bool) -> bool:  # noqa: FBT001 - a part of a target
    return value >= bound if at_least else value <= bound


def curves(measured: Mapping[int, Mapping[str, float]]) -> Mapping[str, Sequence[tuple[float, float]]]:
    """What the picture shows."""
    shown = ("µs a contact", "until pending: s", "csv: rows/s", "worker: MB", "api: MB", "command: MB")
    return {column: [(size, figures[column]) for size, figures in measured.items()] for column in shown}


def _handle(state: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    return next((handle for handle in state["export_handles"] if handle["format"] == name), None)


if __name__ == "__main__":
    main()
