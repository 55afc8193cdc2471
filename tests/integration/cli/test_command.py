"""The `growth` command as a user types it, against the running engine."""

import csv
import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest

from cli.local.stack import Stack
from models.database import Database
from sandbox.csv_files import write_contacts_csv
from tests.growth_command import run_growth
from tests.integration.conftest import Client, Population, waiting_runs

Growth = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def growth(client: Client, stack: Stack, tmp_path: Path) -> Growth:
    """Runs the command with this test's account; besides it, only the servers' addresses are set."""
    environment = {
        **os.environ,
        **stack.engine.environment,
        "GROWTH_API_URL": client.api.api_url,
        "GROWTH_API_KEY": client.account.api_key,
        "COLUMNS": "160",
    }

    def run(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return run_growth(*arguments, env={**environment, **settings}, cwd=tmp_path)

    return run


@pytest.fixture
def contacts_csv(population: Population, tmp_path: Path) -> Path:
    path = tmp_path / "contacts.csv"
    write_contacts_csv(population.hundred, path)
    return path


def run_id_of(output: str) -> str:
    match = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", output)
    assert match, output
    return match[0]


def test_submit_and_watch_ends_in_a_summary(growth: Growth, contacts_csv: Path) -> None:
    done = growth("submit", str(contacts_csv), "--watch")

    assert done.returncode == 0, done.stderr
    for text in ("100 contacts queued", "completed, 100%", "Delivered", "95", "78", "380", "20 given back"):
        assert text in done.stdout


def test_status_as_json_is_the_status_response(growth: Growth, contacts_csv: Path, client: Client) -> None:
    run_id = run_id_of(growth("submit", str(contacts_csv)).stdout)
    client.finished(run_id)

    done = growth("status", run_id, "--json")

    assert json.loads(done.stdout) == client.api.read_run(run_id)


def test_export_writes_each_contact_with_its_result(
    growth: Growth, contacts_csv: Path, client: Client, population: Population, tmp_path: Path
) -> None:
    run_id = run_id_of(growth("submit", str(contacts_csv)).stdout)
    client.finished(run_id)

    done = growth("export", run_id, "--format", "csv", "--output", "out.csv")

    assert done.returncode == 0, done.stderr
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["crm_id"] for row in rows] == [person.crm_id for person in population.hundred]
    assert sum(row["email_status"] == "valid" for row in rows) == 78


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["submit", "missing.csv"], "can't be read: No such file or directory"),
        (["status", "00000000-0000-7000-8000-000000000000"], "no run with this id"),
        (["export", "00000000-0000-7000-8000-000000000000"], "no run with this id"),
    ],
)
def test_an_expected_failure_is_one_sentence_and_no_traceback(
    growth: Growth, arguments: Sequence[str], sentence: str
) -> None:
    done = growth(*arguments)

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_without_an_api_the_command_explains_how_to_get_one(growth: Growth) -> None:
    done = growth("status", "00000000-0000-7000-8000-000000000000", GROWTH_API_URL="", GROWTH_API_KEY="")

    assert done.returncode == 1
    assert "start one with `growth up`" in done.stderr


def test_an_api_that_does_not_answer_is_reported(growth: Growth) -> None:
    done = growth("status", "00000000-0000-7000-8000-000000000000", GROWTH_API_URL="http://127.0.0.1:9")

    assert done.returncode == 1
    assert "does not answer" in done.stderr


def test_without_a_database_migrate_says_how_to_name_one(growth: Growth, tmp_path: Path) -> None:
    done = growth("migrate", "--home", str(tmp_path), DATABASE_URL="")

    assert done.returncode == 1
    assert done.stderr == "No database is named: set DATABASE_URL, or give --home with the home of a `growth up`.\n"


def test_a_database_that_does_not_answer_is_reported(growth: Growth) -> None:
    done = growth("migrate", DATABASE_URL="postgresql://growth@127.0.0.1:9/none")

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "The database is not available" in done.stderr
    assert "Connection refused" in done.stderr


def test_a_database_that_is_not_migrated_is_reported(growth: Growth, postgres_url: str) -> None:
    done = growth("account", "create", "Example Buyer", DATABASE_URL=postgres_url)

    assert done.returncode == 1
    assert "run `growth migrate` first" in done.stderr


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("SMTP_PORT", "smtp", "Setting SMTP_PORT is not usable"),
        (
            "DATABASE_URL",
            "mysql://example",
            "DATABASE_URL is not usable: it must be a URL that begins with postgresql:// or postgres://.",
        ),
        ("CHUNK_SECONDS", "60", "CHUNK_SECONDS must be at least 1.25 times CONTACT_TIMEOUT_SECONDS plus 5"),
        ("LEASE_SECONDS", "0.5", "LEASE_SECONDS must be at least three times CHECKPOINT_SECONDS"),
        ("REBATE_PER_UNRESOLVED", "5", "a rebate must not exceed CREDITS_PER_CONTACT"),
    ],
)
def test_an_invalid_setting_stops_the_process_with_its_name(
    growth: Growth, setting: str, value: str, sentence: str
) -> None:
    done = growth("migrate", **{setting: value})

    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_new_account_gets_a_key_that_works(growth: Growth, client: Client) -> None:
    done = growth("account", "create", "Example Buyer", "--credits", "7")

    key = done.stdout.split()[-1]
    answer = httpx.get(
        f"{client.api.api_url}/api/v1/growth/runs/00000000-0000-7000-8000-000000000000",
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
    )
    assert "7 credits" in done.stdout
    assert answer.status_code == 404


def test_doctor_warns_of_what_works_and_could_be_better(growth: Growth, population: Population) -> None:
    domain = next(person.domain for person in population.hundred if person.verdict == "valid")

    done = growth("doctor", "--mail-domain", domain)

    assert done.returncode == 0, done.stdout
    marks = {line[5:].partition(":")[0]: line[:2] for line in done.stdout.splitlines()}
    warnings = {"TLS": "!!", "Identity": "!!"}
    assert "Broker: reachable: database 1 of the same server" in done.stdout
    assert marks == dict.fromkeys(("Postgres", "Redis", "Broker", "Exports", "API", "DNS", "SMTP"), "ok") | warnings


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("DATABASE_URL", "postgresql://growth@127.0.0.1:9/none", "no   Postgres: The database is not available"),
        ("REDIS_URL", "redis://127.0.0.1:9/0", "no   Redis: not reachable"),
        ("EXPORT_DIR", "/proc/exports", "no   Exports: no file can be written in /proc/exports"),
        ("DNS_RESOLVERS", "127.0.0.1:9", "no   DNS"),
        ("SMTP_PORT", "9", "no   SMTP"),
        ("SMTP_ALLOW_PRIVATE", "false", "no   SMTP"),
        ("GROWTH_API_KEY", "growth_wrong", "no   API: This API key is not valid"),
    ],
)
def test_doctor_reports_what_is_wrong(
    growth: Growth, population: Population, setting: str, value: str, sentence: str
) -> None:
    domain = next(person.domain for person in population.hundred if person.verdict == "valid")

    done = growth("doctor", "--mail-domain", domain, **{setting: value})

    assert done.returncode == 1
    assert sentence in done.stdout


def test_cancel_retry_and_the_timeline_work_from_the_command_line(
    growth: Growth, client: Client, stack_database: Database
) -> None:
    [run_id] = waiting_runs(client, stack_database, 1)

    cancelled = growth("cancel", run_id)
    retried = growth("retry", run_id, "--watch")
    timeline = growth("runs", "show", run_id)

    assert "cancelled" in cancelled.stdout
    assert "completed, 100%" in retried.stdout
    for kind in ("created", "cancelled", "retried"):
        assert kind in timeline.stdout


def test_rows_that_the_engine_can_not_look_up_cost_the_others_nothing(
    growth: Growth, population: Population, tmp_path: Path
) -> None:
    """As in an export of LinkedIn, where few have an address and all have a company."""
    ada = population.hundred[0]
    (tmp_path / "people.csv").write_text(
        f"First Name,Last Name,Company,Website\n{ada.first_name},{ada.last_name},Acme,{ada.domain}\nBo,Ex,Birch,\n"
    )

    done = growth("submit", "people.csv", "--watch")

    assert done.returncode == 0, done.stderr
    assert "1 contacts queued" in done.stdout
    assert "1 row is not usable and costs nothing" in done.stderr
    exported = growth("export", run_id_of(done.stdout), "--output", "out.csv")
    assert exported.returncode == 0, exported.stderr
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert rows[1].split(",")[4] == ada.email
    assert rows[2].startswith("Bo,Ex,Birch,,,rejected,")
