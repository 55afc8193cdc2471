"""A file of a million rows from `growth submit` to a pending run, on embedded servers, without a worker.

The file is uploaded over HTTP, read, and a run is started from it. Prints each part's time, and the peak memory of the
API, of the process that reads, and of the command. Ends in one line of JSON. Linux only: peaks are read from `/proc`.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from rich.console import Console

from bench.reporting.results import publish
from bench.reporting.turns import Table
from cli.accounts import create_account
from cli.client import ApiClient, Credentials
from cli.local.embedded import embedded_postgres, embedded_valkey
from cli.local.ports import free_port
from cli.local.processes import api_command, running_engine
from cli.submission import Reading
from cli.uploading import upload
from models.database import open_database
from models.migrate import migrate
from sandbox.names import draw_name

CREDITS = 2_000_000_000
HEADER = "First Name,Last Name,Company,Website,Title,City,CRM ID"


def main() -> None:
    """Upload a file and start a run, so many times, and print the times."""
    options = _options()
    table, figures = Table(), {"rows": options.rows}
    with tempfile.TemporaryDirectory(prefix="growth-bench-") as directory:
        home = Path(directory)
        path = home / "people.csv"
        with embedded_postgres(home / "postgres") as database_url, embedded_valkey(home / "valkey") as redis_url:
            port = free_port(0)
            environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "EXPORT_DIR": str(home / "exports")}
            database = open_database(database_url)
            migrate(database)
            key = create_account(database, "Bench", CREDITS).api_key
            with running_engine(environment, home / "logs") as engine:
                engine.start("api", *api_command(port))
                credentials = Credentials(f"http://127.0.0.1:{port}", key)
                for number in range(options.rounds):
                    # Another file each time: one that is there already is not sent again.
                    _write(path, options.rows, number)
                    _measure(credentials, path, options.rows, table)
                for name, megabytes in _peaks_mb().items():
                    table.add(name, "peak: MB", [megabytes])
            database.close()
    figures |= {row: {column: min(values) for column, values in of_row.items()} for row, of_row in table.rows.items()}
    publish("uploads", "A file from `growth submit` to a pending run", table, figures, vars(options))


def _options() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=3)
    return arguments.parse_args()


def _write(path: Path, rows: int, seed: int) -> None:
    chosen = random.Random(seed)  # noqa: S311 - made-up people
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER + "\n")
        for n in range(rows):
            company = n % 100_000
            name = ",".join(draw_name(chosen))
            file.write(f"{name},Company {company} Ltd,company{company}.test,Head of Sales,Berlin,{n:010d}\n")


def _measure(credentials: Credentials, path: Path, rows: int, table: Table) -> None:
    with ApiClient(credentials) as client:
        started = time.monotonic()
        shown = upload(client, path, Reading(), Console(quiet=True))
        uploaded = time.monotonic()
        client.create_run_from(shown["upload_id"], "full_pipeline")
        pending = time.monotonic()
    table.add("upload", "seconds", [uploaded - started])
    table.add("upload", "rows/s", [rows / (uploaded - started)])
    table.add("start a run", "seconds", [pending - uploaded])
    table.add("submit to pending", "seconds", [pending - started])


def _peaks_mb() -> dict[str, float]:
    """The peak memory of each process below this one, by what it is."""
    return {name: float(peak) for name, peak in sorted(_named_peaks()) if peak}


def _named_peaks() -> Iterator[tuple[str, int]]:
    for process in psutil.Process().children(recursive=True):
        command = " ".join(process.cmdline())
        name = "API" if "uvicorn" in command else "reading process" if "anyio.to_process" in command else ""
        if name:
            yield name, _peak_mb(process.pid)
    yield "command", _peak_mb("self")


def _peak_mb(pid: int | str) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) // 1024


if __name__ == "__main__":
    main()
