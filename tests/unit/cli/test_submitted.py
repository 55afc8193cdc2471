"""`growth export` puts the results behind the rows of the file that was submitted from the same home."""

import csv
import hashlib
from pathlib import Path

import pytest

from cli.client import ApiClient
from cli.downloads import choose_export
from cli.main import app
from cli.submission import Reading
from cli.submitted import recall, remember, save_own_rows
from tests.unit.cli.scripted_api import RUN_ID, Answer, scripted_api, state

EXPORT = (
    b"first_name,last_name,full_name,company,domain,input_email,Notiz,email,email_status,email_reason,email_score,"
    b"email_source\r\nAda,Example,,,a.test,,x,ada@a.test,valid,mailbox_exists,97,pattern\r\n"
)
HANDLE = {
    "asset_id": "contacts_csv", "format": "csv", "rows": 1,
    "bytes": len(EXPORT), "sha256": hashlib.sha256(EXPORT).hexdigest(),
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text("Vorname;Nachname;Webseite;Notiz\nAda;Example;a.test;x\nBo;;b.test;\nAda;Example;a.test;z\n")
    return path


def test_the_files_own_rows_have_the_results(tmp_path: Path, file: Path) -> None:
    remember(tmp_path / "home", RUN_ID, file, Reading())
    submitted = recall(tmp_path / "home", RUN_ID)
    assert submitted is not None
    answers = state(export_handles=[HANDLE]), Answer(body=EXPORT)
    with scripted_api(*answers) as (credentials, _), ApiClient(credentials) as client:
        handle = choose_export(client.read_run(RUN_ID), "csv")
        rows = save_own_rows(client, RUN_ID, handle, submitted, tmp_path / "out.csv")

    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as out:
        written = list(csv.DictReader(out))
    assert (rows, len(written)) == (3, 3)
    assert list(written[0])[:5] == ["Vorname", "Nachname", "Webseite", "Notiz", "email"]
    assert [row["email"] for row in written] == ["ada@a.test", "", "ada@a.test"]
    assert [row["email_status"] for row in written] == ["valid", "rejected", "valid"]


@pytest.mark.parametrize("problem", ["has changed", "lacks some of the columns", "has other contacts"])
def test_where_the_file_does_not_fit_the_results_are_written_without_its_rows(
    tmp_path: Path, file: Path, problem: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    export = b"first_name\r\nAda\r\n" if "columns" in problem else EXPORT + EXPORT.partition(b"\n")[2]
    remember(tmp_path, RUN_ID, file, Reading())
    if "changed" in problem:
        file.write_text("full_name,domain\nAda Example,a.test\n")
    handle = HANDLE | {"bytes": len(export), "sha256": hashlib.sha256(export).hexdigest()}
    body = Answer(body=export)
    monkeypatch.chdir(tmp_path)
    with scripted_api(state(export_handles=[handle]), body) as (credentials, _):
        monkeypatch.setenv("GROWTH_API_URL", credentials.api_url)
        monkeypatch.setenv("GROWTH_API_KEY", credentials.api_key)
        app(["export", RUN_ID, "--home", str(tmp_path), "--output", "out.csv"], standalone_mode=False)

    assert problem in capsys.readouterr().err
    assert (tmp_path / "out.csv").read_bytes() == export


def test_a_run_that_was_not_submitted_from_here_is_not_known(tmp_path: Path) -> None:
    assert recall(tmp_path, RUN_ID) is None


def test_only_the_owner_can_read_what_is_remembered(tmp_path: Path, file: Path) -> None:
    remember(tmp_path / "home", RUN_ID, file, Reading())

    [kept] = (tmp_path / "home").glob("submitted/*.json")
    assert kept.stat().st_mode & 0o077 == 0
