"""A run from `growth submit` to each export file, and each file opened by programs that had no part in writing it.

A file of `--contacts` addresses at a crowd of domains is sent with `growth submit` (`verify_existing_emails`), worked
by two worker processes against the sandbox's name and mail servers, and exported in each format. Then the files are
read: CSV by Python's csv, polars and DuckDB, JSON and NDJSON by Python's json, polars and DuckDB, Parquet by polars and
DuckDB, workbooks by calamine, and CSV and workbooks by LibreOffice without a window, if it is installed (Debian:
`libreoffice-calc-nogui`). Each must find the same rows in the same order: names, addresses and notes as they were sent,
and the verdicts that the mail servers' answers amount to. The notes are of the kinds that spreadsheets like to change.

Ends in one line of JSON, and with 1 if a reader finds other rows. Linux only: the sizes of processes are read from
`/proc`.
"""

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.contenders.peer import INSTALL
from bench.contenders.processes import Peaks
from bench.contenders.servers import running_servers
from bench.peers.reading import READERS, Digest
from bench.reporting.machine import ROOT, peers_python
from bench.reporting.results import publish
from bench.reporting.turns import Table, report
from bench.scale import FORGET_EXPORTS, FORMATS, Scene, export, running_scene, submit, times_of_run
from cli.local.processes import worker_command
from sandbox.domains import Behaviour, Domain
from sandbox.internet import Internet
from sandbox.truth import Mailbox

HOSTS = 50
CONTACTS_A_DOMAIN = 100
SETTINGS = {
    # All contacts are at few hosts, which are the sandbox's.
    "SMTP_RECIPIENTS_PER_SECOND": "10000",
    "SMTP_CONNECTIONS_PER_HOST": "32",
    "SMTP_CONNECTIONS_PER_PROVIDER": "320",
}
BEHAVIOURS = (*[Behaviour.ORDINARY] * 16, *[Behaviour.CATCH_ALL] * 2, Behaviour.NULL_MX, Behaviour.NO_SUCH_DOMAIN)
"""Of twenty domains."""
NOTES = (
    "plain", 'a "quoted" word', "comma, semicolon; and bar|", "two\nlines", "Zürich – Łódź – 東京", "=1+1", "-5",
    "+49 30 1", "@name", "12345678901234567890", "1e5", "TRUE", "2026-01-02", "NULL", "nan", "",
)  # fmt: skip
STATUSES = "SELECT status, count(*) FROM outcomes WHERE stage = 'email_verify' GROUP BY 1 ORDER BY 1"
SOFFICE = "soffice"
AS_TEXT = "/".join(f"{column}/2" for column in range(1, 41))
"""LibreOffice's option for columns that are text, of which ours are a few."""
READ_CSV = f"CSV:44,34,76,1,{AS_TEXT}"
WRITE_CSV = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false"
"""Commas, double quotes and UTF-8."""


class Owner(NamedTuple):
    """An address that exists, for the sandbox."""

    email: str
    mailbox: Mailbox = Mailbox.OPEN


def main() -> int:
    """Do all of it. Returns 1 if a reader finds other rows than were written."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--contacts", type=int, default=1_000_000)
    options = arguments.parse_args()
    _check_readers()
    crowd = Crowd(options.contacts)
    table = Table()
    with (
        running_servers() as servers,
        Internet(crowd.owners(), crowd.domains) as internet,
        running_scene(servers, "readers", options.contacts, _worker, {**internet.settings(), **SETTINGS}) as scene,
    ):
        figures, files = _worked(scene, crowd, table)
        figures["readers"] = {
            f"{name}: {reader}": found
            for name, path in files.items()
            for reader, found in _read(name, path, table, scene.longest_s)
        }
    figures["same_rows"] = _are_same(figures["readers"], crowd)
    publish(
        "readers", f"A run of {options.contacts:,} contacts, and who can read its files", table, figures, vars(options)
    )
    return 0 if figures["same_rows"] else 1


def _check_readers() -> None:
    """Say before all of it what is missing to read the files. Only LibreOffice is left out if it is not there."""
    python = peers_python()
    if python is None:
        raise SystemExit(INSTALL)
    _run([str(python), "-c", "import duckdb, polars"], 60)
    if shutil.which(SOFFICE) is None:
        report("LibreOffice is not installed (Debian: `libreoffice-calc-nogui`), and reads nothing.")


class Crowd:
    """Contacts with an address each, at domains that differ in what their mail servers say."""

    def __init__(self, contacts: int) -> None:
        self.contacts = contacts
        self.domains = [_domain(number) for number in range(max(1, contacts // CONTACTS_A_DOMAIN))]

    def owners(self) -> Iterator[Owner]:
        """The addresses that exist."""
        return (Owner(self._email(number)) for number in range(self.contacts) if self._exists(number))

    def write(self, path: Path) -> None:
        """Write the file that is sent."""
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["Full Name", "Email", "CRM ID", "Note"])
            rows.writerows(self._row(number) for number in range(self.contacts))

    def digest(self) -> str:
        """What each reader is to find in the columns whose values are known."""
        digest = Digest()
        for number in range(self.contacts):
            digest.add((), (*self._row(number), self._status(number)))
        return str(digest.to_json()["checked"])

    def _row(self, number: int) -> Sequence[str]:
        return f"Given{number} Family{number}", self._email(number), f"{number:010}", NOTES[number % len(NOTES)]

    def _email(self, number: int) -> str:
        # Neighbours are at different domains: a run is worked in another order than it is sent.
        return f"given.family{number}@{self.domains[number % len(self.domains)].name}"

    def _exists(self, number: int) -> bool:
        return number // len(self.domains) % 5 > 0

    def _status(self, number: int) -> str:
        behaviour = self.domains[number % len(self.domains)].behaviour
        if behaviour is Behaviour.CATCH_ALL:
            return "risky"
        return "valid" if behaviour is Behaviour.ORDINARY and self._exists(number) else "invalid"


def _domain(number: int) -> Domain:
    behaviour, name = BEHAVIOURS[number % len(BEHAVIOURS)], f"company-{number}.test"
    hosts = (
        () if behaviour in (Behaviour.NULL_MX, Behaviour.NO_SUCH_DOMAIN) else (f"mx{number % HOSTS}.hosting.example",)
    )
    return Domain(name, name, behaviour, "first.last", hosts, "postfix")


def _worker(number: int) -> Sequence[str]:
    return worker_command(f"worker-{number}", 1)


def _worked(scene: Scene, crowd: Crowd, table: Table) -> tuple[dict[str, Any], Mapping[str, Path]]:
    """Send the file, have it worked, and have all files made: the figures, and the files by format."""
    contacts = scene.home / "contacts.csv"
    crowd.write(contacts)
    began = time.time()
    run_id, command_mb = submit(scene, contacts, "verify_existing_emails")
    peaks = Peaks(scene.engine)
    created, finished, _ = times_of_run(scene, peaks)
    report(f"completed after {finished - began:.0f} s")
    statuses = {str(status): int(count) for status, count in scene.connection.execute(STATUSES).fetchall()}
    scene.connection.execute(FORGET_EXPORTS, {"run_id": run_id})
    files: dict[str, Path] = {}
    for name in FORMATS:
        files[name] = scene.home / f"export.{name}"
        exported = export(scene, run_id, name, files[name])
        report(f"{name}: made in {exported.made_s:.1f} s")
        table.add(name, "made: s", [exported.made_s])
        table.add(name, "downloaded: s", [exported.downloaded_s])
        table.add(name, "MB", [files[name].stat().st_size / 1e6])
    peaks.look()
    figures: dict[str, Any] = {
        "contacts": crowd.contacts,
        "until_pending_s": round(created - began, 1),
        "worked_s": round(finished - created, 1),
        "statuses": statuses,
        "peak_mb": {"command": round(command_mb), **peaks.megabytes},
    }
    return figures, files


def _read(name: str, path: Path, table: Table, longest_s: float) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What each reader finds in a file."""
    for reader in READERS[name]:
        python = sys.executable if reader == "calamine" else peers_python()
        found = _ask([str(python), "-m", "bench.peers.reading", reader, name, str(path)], longest_s)
        table.add(name, f"{reader}: s", [found["seconds"]])
        report(f"{name}, {reader}: {found}")
        yield reader, found
    if name in ("csv", "excel", "xlsx") and shutil.which(SOFFICE):
        opened = _opened_by_libreoffice(name, path, longest_s)
        table.add(name, "LibreOffice: s", [opened["seconds"]])
        report(f"{name}, LibreOffice: {opened}")
        yield "LibreOffice", opened


def _opened_by_libreoffice(name: str, path: Path, longest_s: float) -> Mapping[str, Any]:
    """What LibreOffice shows of a file: it opens it, and writes the sheet as CSV."""
    began, folder = time.monotonic(), path.with_name(f"{path.name}.opened")
    folder.mkdir()
    opened = folder / ("sheet.xlsx" if name == "xlsx" else "sheet.csv")
    opened.hardlink_to(path)
    profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    reading = [] if name == "xlsx" else [f"--infilter={READ_CSV}"]
    writing = ["--convert-to", WRITE_CSV, "--outdir", str(folder / "written")]
    command = [SOFFICE, profile, "--headless", *reading, *writing, str(opened)]
    answer, errors = _run(command, longest_s)
    written = folder / "written" / "sheet.csv"
    if not written.exists():
        raise SystemExit(f"LibreOffice did not open the file ({name}): {errors.strip() or answer.strip()}")
    seconds = round(time.monotonic() - began, 1)
    kind = "excel" if name == "excel" else "csv"
    found = _ask([sys.executable, "-m", "bench.peers.reading", "csv", kind, str(written)], longest_s)
    return {**found, "seconds": seconds}


def _ask(command: Sequence[str], longest_s: float) -> dict[str, Any]:
    answer, _ = _run(command, longest_s)
    found: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return found


def _run(command: Sequence[str], longest_s: float) -> tuple[str, str]:
    """Run a program; return what it printed. Ends it, and what it has started, if it takes longer than that."""
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            answer, errors = process.communicate(timeout=longest_s)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {errors or answer}")
    return answer, errors


def _are_same(readers: Mapping[str, Mapping[str, Any]], crowd: Crowd) -> bool:
    """Whether all readers found all rows as they were sent and answered, and the same cells in all other columns."""
    others = {found["all"] for found in readers.values()}
    right = (crowd.contacts, crowd.digest())
    return len(others) == 1 and all((found["rows"], found["checked"]) == right for found in readers.values())


if __name__ == "__main__":
    sys.exit(main())
