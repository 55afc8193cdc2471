"""Large runs from end to end: hundreds of thousands of contacts, through the `growth` command, on embedded servers.

Two parts, on the sandbox's DNS and SMTP servers:

1. a run of `--contacts`, cancelled when `--cancel-at` percent are reached, then retried until it is completed;
2. `--verify` addresses at domains without a mail server to probe (`verify_existing_emails`).

Prints each part's time, and the peak memory of each of the engine's processes. Ends in one line of JSON.
Linux only: the peaks are read from `/proc`.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.contenders.processes import Peaks
from bench.reporting.results import publish
from bench.reporting.turns import Table
from cli.accounts import create_account
from cli.client import ApiClient, Credentials
from cli.local.stack import Ports, Stack, running_stack
from cli.watching import FINISHED
from models.database import open_database
from sandbox.csv_files import write_contacts_csv
from sandbox.domains import Behaviour, invent_domains
from sandbox.internet import Internet
from sandbox.people import invent_people

SEED = 5
CONTACTS_PER_DOMAIN = 400
CREDITS = 2_000_000_000
GREYLIST_SECONDS = 5
SETTINGS = {
    "MAX_CONTACTS": "1000000",
    "MAX_BODY_BYTES": str(512 * 1024 * 1024),
    # A little longer than the sandbox's greylisting, so that the time measured is mostly work.
    "DEFER_SECONDS": "10,20",
    # Contacts are in order of their domains, so all processes probe the same few hosts: here these need no limits.
    "SMTP_RECIPIENTS_PER_SECOND": "10000",
    "SMTP_CONNECTIONS_PER_HOST": "32",
    "SMTP_CONNECTIONS_PER_PROVIDER": "320",
}
WITHOUT_MAIL_SERVER = {Behaviour.NULL_MX, Behaviour.NO_SUCH_DOMAIN}


def main() -> None:
    """Run both parts, and print their times."""
    options = _options()
    domains = invent_domains(SEED, max(60, options.contacts // CONTACTS_PER_DOMAIN))
    people = invent_people(SEED, options.contacts, domains)
    with (
        tempfile.TemporaryDirectory(prefix="growth-bench-") as directory,
        Internet(people, domains, greylist_seconds=GREYLIST_SECONDS) as internet,
        running_stack(
            Path(directory), Ports(0, 0), processes=options.processes, settings={**internet.settings(), **SETTINGS}
        ) as stack,
    ):
        contacts, addresses = Path(directory, "contacts.csv"), Path(directory, "addresses.csv")
        write_contacts_csv(people, contacts)
        _write_addresses(addresses, [d.name for d in domains if d.behaviour in WITHOUT_MAIL_SERVER], options.verify)
        figures: dict[str, Any] = {"contacts": options.contacts, "verify": options.verify}
        peaks = Peaks(stack.engine)
        if options.contacts:
            figures |= _cancelled_and_retried(stack, contacts, options.cancel_at)
            peaks.look()
        if options.verify:
            figures |= _completed(stack, addresses)
        table = _table(figures)
        peaks.look()
        figures["peak_mb"] = peaks.megabytes
        for process, megabytes in figures["peak_mb"].items():
            table.add(process, "peak: MB", [megabytes])
    publish("large", "Large runs, by the growth command", table, figures, vars(options))


def _table(seconds: Mapping[str, float]) -> Table:
    table = Table()
    for name, value in seconds.items():
        if name.endswith("_s"):
            table.add(name.removesuffix("_s").replace("_", " "), "seconds", [value])
    return table


def _options() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--contacts", type=int, default=250_000)
    arguments.add_argument("--cancel-at", type=int, default=60, metavar="PERCENT")
    arguments.add_argument("--verify", type=int, default=1_000_000)
    arguments.add_argument("--processes", type=int, default=8, help="worker processes, most of which wait")
    return arguments.parse_args()


def _write_addresses(path: Path, domains: Sequence[str], count: int) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["full_name", "email"])
        rows.writerows([f"Person {n}", f"person{n}@{domains[n % len(domains)]}"] for n in range(count))


def _cancelled_and_retried(stack: Stack, contacts: Path, percent: int) -> dict[str, float]:
    credentials = _new_account(stack)
    submitted = time.monotonic()
    run_id = _submit(credentials, contacts, "full_pipeline")
    created = time.monotonic()
    _wait(stack, credentials, run_id, lambda state: state["progress"]["percent"] >= percent)
    cancel_sent = time.monotonic()
    _growth(credentials, "cancel", run_id)
    retry_sent = time.monotonic()
    retry_id = _run_id_in(_growth(credentials, "retry", run_id))
    retried = time.monotonic()
    _check(_wait(stack, credentials, retry_id, _is_finished))
    figures = {
        "submit_s": created - submitted,
        "until_cancelled_s": cancel_sent - created,
        "cancel_s": retry_sent - cancel_sent,
        "retry_s": retried - retry_sent,
        "retry_completed_s": time.monotonic() - retried,
    }
    return _printed(figures)


def _completed(stack: Stack, addresses: Path) -> dict[str, float]:
    credentials = _new_account(stack)
    submitted = time.monotonic()
    run_id = _submit(credentials, addresses, "verify_existing_emails")
    created = time.monotonic()
    _check(_wait(stack, credentials, run_id, _is_finished))
    return _printed({"verify_submit_s": created - submitted, "verify_completed_s": time.monotonic() - created})


def _printed(figures: dict[str, float]) -> dict[str, float]:
    for name, seconds in figures.items():
        print(f"{name:24} {seconds:8.1f}", flush=True)
    return {name: round(seconds, 1) for name, seconds in figures.items()}


def _new_account(stack: Stack) -> Credentials:
    database = open_database(stack.database_url, pool_size=1)
    try:
        return replace(stack.credentials, api_key=create_account(database, "Example Buyer", CREDITS).api_key)
    finally:
        database.close()


def _submit(credentials: Credentials, contacts: Path, preset: str) -> str:
    return _run_id_in(_growth(credentials, "submit", str(contacts), "--preset", preset))


def _growth(credentials: Credentials, *arguments: str) -> str:
    environment = {
        "GROWTH_API_URL": credentials.api_url,
        "GROWTH_API_KEY": credentials.api_key,
        "PATH": "/usr/bin:/bin",
    }
    command = [str(Path(sys.executable).with_name("growth")), *arguments]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"growth {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def _run_id_in(output: str) -> str:
    """Return the id from "Run ID: 5 contacts queued." or "Run ID goes on where ..."."""
    return output.split()[1].rstrip(":")


def _wait(
    stack: Stack, credentials: Credentials, run_id: str, until: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    with ApiClient(credentials) as client:
        while not (until(state := client.read_run(run_id)) or _is_finished(state)):
            stack.engine.check()
            print(f"\r{state['progress']['percent']:3} %", end="", file=sys.stderr, flush=True)
            time.sleep(1)
    return state


def _is_finished(state: dict[str, Any]) -> bool:
    return state["status"] in FINISHED


def _check(state: dict[str, Any]) -> None:
    if state["status"] != "completed" or not state["export_handles"]:
        raise SystemExit(f"run {state['run_id']} is {state['status']}: {state['progress']['message']}")


if __name__ == "__main__":
    main()
