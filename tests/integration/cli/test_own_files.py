"""What is exported has a row for each row of the submitted file, in its order, under its own headings."""

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.local.stack import Stack
from cli.submission import Reading, open_submission
from pipeline.files.own_rows import RESULT_COLUMNS, result_header
from tests.files.expectations import FOLDER
from tests.growth_command import run_growth
from tests.integration.conftest import Client, Population

Submit = Callable[..., list[list[str]]]


@pytest.fixture
def submit_and_export(client: Client, stack: Stack, tmp_path: Path) -> Submit:
    """Submits a file with the command, waits for its run and exports it; gives the rows of the exported file."""
    environment = {
        **os.environ,
        **stack.engine.environment,
        "GROWTH_API_URL": client.api.api_url,
        "GROWTH_API_KEY": client.account.api_key,
        "COLUMNS": "160",
    }

    def growth(*arguments: str) -> str:
        done = run_growth(*arguments, "--home", str(tmp_path / "home"), env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(path: Path) -> list[list[str]]:
        output = growth("submit", str(path), "--rejected", str(tmp_path / "rejected.csv"))
        [run_id] = set(re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", output))
        assert client.finished(run_id)["status"] == "completed"
        growth("export", run_id, "--format", "csv", "--output", "exported.csv")
        with (tmp_path / "exported.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))

    return run


@pytest.mark.parametrize(
    "name",
    ["exports/salesforce-report.csv", "exports/outlook-polish.csv", "people/incomplete-rows.csv",
     "workbooks/merged-cells.xlsx", "tables/empty-rows.csv", "packed/typed.parquet"],
)  # fmt: skip
def test_each_row_of_a_file_comes_back_in_its_place_under_its_own_headings(
    submit_and_export: Submit, name: str
) -> None:
    header, *rows = submit_and_export(FOLDER / name)

    reader = open_submission(FOLDER / name, Reading())
    placed = list(reader.place())
    width = len(reader.table.header)
    assert header == result_header(reader.table.header)
    assert [row[:width] for row in rows] == [[*each.row.cells, *[""] * width][:width] for each in placed]
    for row, each in zip(rows, placed, strict=True):
        result = dict(zip(RESULT_COLUMNS, row[width:], strict=True))
        if each.rejected:
            assert result["email_status"] == "rejected"
            assert result["email_reason"].startswith(each.rejected.field)
        else:
            assert bool(result["email_status"]) == (each.contact is not None)


def test_a_person_who_is_written_four_times_is_charged_once_and_each_row_gets_the_address(
    submit_and_export: Submit, client: Client, population: Population, tmp_path: Path
) -> None:
    person = next(each for each in population.hundred if each.verdict == "valid" and each.findable)
    first, last, domain = person.first_name, person.last_name, person.domain
    path = tmp_path / "people.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [
                ["First Name", "Last Name", "Website", "Met at"],
                [first, last, domain, "fair"],
                [last, first, domain, "web"],
                [f"Dr. {first}", f"{last}, PhD", f"https://www.{domain}/", "call"],
                [first.upper(), last.upper(), domain, "mail"],
            ]
        )
    before = balance(client)

    header, *rows = submit_and_export(path)

    found = [dict(zip(header, row, strict=True)) for row in rows]
    assert [row["Met at"] for row in found] == ["fair", "web", "call", "mail"]
    assert [(row["email"], row["email_status"]) for row in found] == [(person.email, "valid")] * 4
    assert before - balance(client) == 4


def balance(client: Client) -> int:
    found: int = client.http.get("/api/v1/growth/credits").json()["balance"]
    return found
