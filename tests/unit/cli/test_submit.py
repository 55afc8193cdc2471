"""`growth submit` shows how it reads a file, sends the good rows and puts the bad ones aside."""

import csv
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from cli.client import ApiError
from cli.main import app
from cli.submitted import recall
from pipeline.errors import UnusableFile
from tests.unit.cli.scripted_api import RUN_ID, Answer, ScriptedApi, refusal, scripted_api

QUEUED = Answer(202, json.dumps({"status": "running", "run_id": RUN_ID, "preview": {}}).encode())
MIXED = "Vorname;Nachname;Webseite;Notiz\nAda;Example;a.test;x\nBo;;b.test;y\nADA;example;A.test;z\n\nCy;Ex;c.test;\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(MIXED)
    return path


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedApi]:
    with scripted_api(QUEUED) as (credentials, script):
        monkeypatch.setenv("GROWTH_API_URL", credentials.api_url)
        monkeypatch.setenv("GROWTH_API_KEY", credentials.api_key)
        monkeypatch.setenv("GROWTH_HOME", str(tmp_path_factory.mktemp("home")))
        yield script


def submit(*arguments: object) -> None:
    app(["submit", *map(str, arguments)], standalone_mode=False)


def sent(api: ScriptedApi) -> list[dict[str, str]]:
    [body] = api.bodies
    contacts: list[dict[str, str]] = json.loads(body)["goal_plan"]["input_assets"]["contacts"]
    return contacts


def test_good_rows_are_sent_once_each(api: ScriptedApi, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit(file)

    assert sent(api) == [
        {"first_name": "Ada", "last_name": "Example", "domain": "a.test", "Notiz": "x"},
        {"first_name": "Cy", "last_name": "Ex", "domain": "c.test"},
    ]
    assert f"Run {RUN_ID}: 2 contacts queued." in capsys.readouterr().out


def test_what_was_recognised_and_left_out_is_shown(
    api: ScriptedApi, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(file)

    printed = capsys.readouterr().err
    assert (
        "CSV with semicolons, UTF-8. Columns: first_name = Vorname, last_name = Nachname, domain = Webseite." in printed
    )
    assert "1 row is repeated: worked and charged once, and delivered to each." in printed
    assert "1 row is not usable and costs nothing: see" in printed


def test_bad_rows_are_put_aside_with_number_field_and_reason(api: ScriptedApi, file: Path) -> None:
    submit(file)

    with file.with_name("people.rejected.csv").open(newline="") as rejected:
        assert list(csv.reader(rejected)) == [
            ["row", "field", "reason", "Vorname", "Nachname", "Webseite", "Notiz"],
            ["3", "last_name", "it is missing: give it, or full_name", "Bo", "", "b.test", "y"],
        ]


def test_a_dry_run_sends_and_writes_nothing(api: ScriptedApi, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit(file, "--dry-run")

    printed = capsys.readouterr().out
    assert "first_name  Vorname" in printed
    assert "as they are Notiz" in printed
    assert "2 contacts would be sent, from 4 rows; nothing was sent." in printed
    assert "1 row is not usable, row 3: last_name: it is missing: give it, or full_name." in printed
    assert (api.requests, [each.name for each in file.parent.iterdir()]) == ([], ["people.csv"])


def test_a_dry_run_names_the_first_row_of_each_fault(
    api: ScriptedApi, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text('full_name,domain\nAda Ex,a.test\nBo "Ex" Ox,"b.test\nCy Ex,c.test\nDi Ex,\nEd Ex,\n')

    submit(file, "--dry-run")

    printed = capsys.readouterr().out
    assert "1 row is not usable, row 3: row: a quotation mark is open" in printed
    assert "2 rows are not usable, the first is row 5: domain: it is missing" in printed


OF_COMPANIES = "full_name,company,domain\nAda Ex,Acme,a.test\nBo Ex,Birch,\nCy Ex,Cedar,nowhere\n"


def presets(*needs: list[str]) -> Answer:
    return Answer(body=json.dumps({"presets": [{"name": "full_pipeline", "needs": needs}]}).encode())


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        (presets(["domain", "full_name"]), ["Ada Ex"]),
        (presets(["domain", "full_name"], ["company", "full_name"]), ["Ada Ex", "Bo Ex", "Cy Ex"]),
        (refusal(404, "There is no such page."), ["Ada Ex", "Bo Ex", "Cy Ex"]),
    ],
    ids=["unknown companies", "known companies", "an engine that does not say"],
)
def test_rows_with_a_company_alone_are_put_aside_unless_the_engine_may_know_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Answer, names: list[str]
) -> None:
    (tmp_path / "people.csv").write_text(OF_COMPANIES)
    with scripted_api(answer, QUEUED) as (credentials, script):
        monkeypatch.setenv("GROWTH_API_URL", credentials.api_url)
        monkeypatch.setenv("GROWTH_API_KEY", credentials.api_key)
        submit(tmp_path / "people.csv", "--home", tmp_path / "home")

    contacts = json.loads(script.bodies[1])["goal_plan"]["input_assets"]["contacts"]
    assert [contact["full_name"] for contact in contacts] == names
    assert (tmp_path / "people.rejected.csv").exists() == (len(names) < 3)
    recalled = recall(tmp_path / "home", RUN_ID)
    assert recalled
    assert recalled.knows_companies == (len(names) == 3)


def test_a_dry_run_says_how_many_have_a_company_alone(
    api: ScriptedApi, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(OF_COMPANIES)

    submit(file, "--dry-run")

    assert "1 of them have a company and no domain" in capsys.readouterr().out


def test_a_dry_run_promises_no_more_than_an_engine_without_companies_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "people.csv"
    file.write_text("full_name,company\nAda Ex,Acme\nBo Ex,Birch\n")
    with scripted_api(presets(["domain", "full_name"])) as (credentials, script):
        monkeypatch.setenv("GROWTH_API_URL", credentials.api_url)
        monkeypatch.setenv("GROWTH_API_KEY", credentials.api_key)

        with pytest.raises(UnusableFile, match=r"people\.csv would be refused: it has no row that can be used"):
            submit(file, "--dry-run")
        with pytest.raises(UnusableFile, match="Nothing was sent"):
            submit(file)

    assert {method for method, _, _ in script.requests} == {"GET"}


def test_strict_refuses_a_file_with_a_bad_row(api: ScriptedApi, file: Path) -> None:
    with pytest.raises(UnusableFile, match=r"Nothing was sent.*\nRow 3, field last_name: it is missing"):
        submit(file, "--strict")

    assert (api.requests, [each.name for each in file.parent.iterdir()]) == ([], ["people.csv"])


def test_a_file_without_a_good_row_is_refused_and_all_rows_are_put_aside(api: ScriptedApi, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("full_name,domain\n" + "Ada,\n" * 30)

    with pytest.raises(UnusableFile) as refused:
        submit(file)

    lines = str(refused.value).splitlines()
    assert (lines[1][:6], len(lines), lines[-1]) == ("Row 2,", 22, "... and 10 more.")
    assert api.requests == []


def test_a_column_is_what_the_user_says(api: ScriptedApi, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("Person,Website,Company Domain Name\nAda Example,shop.test,a.test\n")

    submit(file, "--map", "domain=Website", "--map", 'full_name="Person"')

    assert sent(api) == [{"full_name": "Ada Example", "domain": "shop.test", "Company Domain Name": "a.test"}]


def test_a_mapping_to_no_field_is_wrong_usage(api: ScriptedApi, file: Path) -> None:
    with pytest.raises(typer.BadParameter, match="say --map FIELD"):
        submit(file, "--map", "company name=Firma")


def test_the_encoding_is_what_the_user_says(api: ScriptedApi, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes("full_name,domain\nиван,a.test\n".encode("koi8_r"))

    submit(file, "--encoding", "koi8-r")

    assert sent(api)[0]["full_name"] == "иван"


@pytest.mark.parametrize("bound", ["MOST_CONTACTS", "MOST_CHARACTERS"])
def test_a_small_file_of_more_contacts_than_one_request_takes_is_uploaded(
    monkeypatch: pytest.MonkeyPatch, file: Path, capsys: pytest.CaptureFixture[str], bound: str
) -> None:
    monkeypatch.setattr(f"cli.submission.{bound}", 1)
    with scripted_api(refusal(422, "Not today.")) as (credentials, script):
        monkeypatch.setenv("GROWTH_API_URL", credentials.api_url)
        monkeypatch.setenv("GROWTH_API_KEY", credentials.api_key)
        with pytest.raises(ApiError, match="Not today"):
            submit(file)

    assert [path for _, path, _ in script.requests] == ["/api/v1/growth/uploads"]
    assert "It holds more than one request takes: it is uploaded." in capsys.readouterr().err
    assert [each.name for each in file.parent.iterdir()] == ["people.csv"]


def test_what_comes_through_a_pipe_is_sent_in_one_request_whatever_it_holds(
    api: ScriptedApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("cli.submission.MOST_CONTACTS", 1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(MIXED,))
    writer.start()

    submit(pipe, "--rejected", tmp_path / "rejected.csv")

    writer.join()
    assert len(sent(api)) == 2


def test_a_dry_run_fails_if_the_file_would_be_refused(api: ScriptedApi, file: Path) -> None:
    useless = file.with_name("useless.csv")
    useless.write_text("full_name,domain\nAda,\nBo Ex,nowhere\n")

    with pytest.raises(UnusableFile, match=r"useless\.csv would be refused: it has no row that can be used"):
        submit(useless, "--dry-run")
    with pytest.raises(UnusableFile, match=r"people\.csv would be refused: with --strict"):
        submit(file, "--dry-run", "--strict")

    assert api.bodies == []
