"""`growth demo`: sends made-up contacts through both stages and compares the results with the truth."""

import csv
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cli.client import ApiClient
from cli.downloads import choose_export, save_export
from cli.home import LOCK_FILE, locked_home
from cli.local.stack import Ports, Stack, check_settings, running_stack
from cli.local.up import DEFER_SECONDS, GREYLIST_S, wait_for_interrupt
from cli.summary import print_summary
from cli.watching import watch
from pipeline.files.contacts import open_contacts
from sandbox.csv_files import write_contacts_csv
from sandbox.domains import invent_domains
from sandbox.internet import Internet
from sandbox.people import Person, invent_people

WORKERS = 2
PREVIEW_ROWS = 10


def run_demo(console: Console, home: Path, count: int, seed: int, *, keep: bool) -> None:
    """Run the demo, from an empty directory to the exported CSV."""
    check_settings()
    with locked_home(home):
        _empty(home)
        _run_demo(console, home, count, seed, keep=keep)


def _empty(home: Path) -> None:
    """Delete everything but the lock that we hold."""
    for path in home.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK_FILE:
            path.unlink()


def _run_demo(console: Console, home: Path, count: int, seed: int, *, keep: bool) -> None:
    domains = invent_domains(seed)
    people = invent_people(seed, count, domains)
    contacts_csv = home / "contacts.csv"
    write_contacts_csv(people, contacts_csv)
    console.print(
        f"{count} made-up contacts at {len({person.domain for person in people})} domains: {contacts_csv}",
        soft_wrap=True,
    )
    console.print("Starting PostgreSQL, Valkey, two Celery workers, API, sweeper, Flower, DNS and SMTP servers...")
    with (
        Internet(people, domains, greylist_seconds=GREYLIST_S) as internet,
        running_stack(
            home,
            Ports(api=0, flower=0),
            workers=WORKERS,
            processes=1,
            settings={**internet.settings(), "DEFER_SECONDS": DEFER_SECONDS},
        ) as stack,
    ):
        console.print(f"API {stack.credentials.api_url}   Flower {stack.flower_url}\n", soft_wrap=True)
        _run(console, stack, people, contacts_csv, home)
        _print_mail_counts(console, internet)
        if keep:
            console.print("Everything keeps running until Ctrl-C.")
            wait_for_interrupt(stack)


def _run(console: Console, stack: Stack, people: Sequence[Person], contacts_csv: Path, home: Path) -> None:
    exported = home / "results.csv"
    with ApiClient(stack.credentials) as client:
        started = time.monotonic()
        run_id = client.create_run(list(open_contacts(contacts_csv).contacts()), "full_pipeline", PREVIEW_ROWS)
        state = watch(client, run_id, console, stack.engine.check)
        seconds = time.monotonic() - started
        save_export(client, run_id, choose_export(state, "csv"), exported)
    print_summary(console, state)
    _print_result(console, state, home / "state.json")
    console.print(f"\n{len(people)} contacts in {seconds:.1f} s, {len(people) / seconds:.0f} a second.")
    console.print(_truth_table(people, exported))
    console.print(f"Results: [bold]{exported}[/bold]", soft_wrap=True)


def _print_result(console: Console, state: dict[str, Any], whole: Path) -> None:
    """Print one contact's result, and save the whole state."""
    whole.write_text(json.dumps(state, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    results = state["result_handles"]
    console.print(f"\nOne result, as the API returns it; the whole state: {whole}", soft_wrap=True)
    console.print_json(json.dumps(next((each for each in results if each["email"]), results[0])))


def _truth_table(people: Sequence[Person], exported: Path) -> Table:
    """Precision: the share of our answers that is right. Recall: the share of findable addresses that we found."""
    truth = {person.crm_id: person for person in people}
    with exported.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = [row for row in rows if row["email"]]
    verified = [row for row in rows if row["email_status"] == "valid"]
    table = Table(title="Against the sandbox's truth", title_justify="left")
    for column in ("", "answers", "right", "precision", "recall"):
        table.add_column(column, justify="right" if column else "left")
    _add_row(table, "found", found, truth, findable=sum(person.findable for person in people))
    _add_row(table, "verified", verified, truth, findable=sum(person.verdict == "valid" for person in people))
    return table


def _add_row(table: Table, name: str, rows: list[dict[str, Any]], truth: dict[str, Person], findable: int) -> None:
    right = sum(row["email"] == truth[row["crm_id"]].email for row in rows)
    table.add_row(name, str(len(rows)), str(right), _share(right, len(rows)), _share(right, findable))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _print_mail_counts(console: Console, internet: Internet) -> None:
    counts = internet.counts
    sessions = sum(host.connections for host in counts.hosts.values())
    console.print(
        f"Mail servers were asked about {counts.commands('RCPT')} addresses in {sessions} sessions; "
        f"messages sent: {counts.commands('DATA')}."
    )
