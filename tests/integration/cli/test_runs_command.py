"""`growth runs list`, `--json` and `--version`, as a person and a program use them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.summary import print_runs
from models.database import Database
from tests.integration.conftest import Client, Population, end_runs, waiting_runs


@pytest.fixture
def environment(client: Client) -> dict[str, str]:
    return {**os.environ, "GROWTH_API_URL": client.api.api_url, "GROWTH_API_KEY": client.account.api_key}


def growth(environment: dict[str, str], *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("growth")), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


def test_runs_are_listed_as_a_table_and_as_json(
    client: Client, population: Population, environment: dict[str, str]
) -> None:
    run_id = client.create(population.crowd[:5])
    client.finished(run_id)

    table = growth({**environment, "COLUMNS": "200"}, "runs", "list").stdout
    (run,) = json.loads(growth(environment, "runs", "list", "--json").stdout)

    header, line = table.splitlines()
    assert header.split()[:3] == ["run", "status", "%"]
    assert line.split()[:4] == [run_id, "completed", "100", "5"]
    assert (run["run_id"], run["contacts"]) == (run_id, 5)


def test_an_empty_list_is_a_sentence(environment: dict[str, str]) -> None:
    assert growth(environment, "runs", "list", "--status", "failed").stdout == "No runs.\n"
    assert json.loads(growth(environment, "runs", "list", "--since", "2026-01-01", "--json").stdout) == []


def test_with_json_only_json_is_on_stdout(
    client: Client, stack_database: Database, environment: dict[str, str]
) -> None:
    [run_id] = waiting_runs(client, stack_database, 1)

    cancelled = json.loads(growth(environment, "cancel", run_id, "--json").stdout)
    retried = growth(environment, "retry", run_id, "--json")
    timeline = json.loads(growth(environment, "runs", "show", run_id, "--json").stdout)

    assert cancelled["status"] == "cancelled"
    assert f"goes on where {run_id} stopped" in retried.stderr
    assert json.loads(retried.stdout)["run_id"] != run_id
    assert timeline[0]["kind"] == "created"
    end_runs(stack_database, client.account.account_id)


def test_the_command_says_its_version(environment: dict[str, str]) -> None:
    assert re.fullmatch(r"growth \d+\.\d+\.\d+\S*\n", growth(environment, "--version").stdout)


def test_the_table_fits_a_narrow_terminal_without_cutting_ids() -> None:
    from io import StringIO

    from rich.console import Console

    output = StringIO()
    run = {
        "run_id": "7c3e1d22-9b4a-4f8c-b1e2-3d5f0a7c9e1b", "status": "running", "preset": "full_pipeline",
        "percent": 45, "contacts": 1_000_000, "delivered_contacts": None, "verified_emails": None,
        "created_at": "2026-11-30T08:00:00Z", "finished_at": None, "retry_of": None,
    }  # fmt: skip
    print_runs(Console(file=output, width=80), [run])

    assert run["run_id"] in output.getvalue()
