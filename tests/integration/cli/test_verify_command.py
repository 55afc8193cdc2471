"""`growth verify` as a user types it: only DNS and mail servers are set, and neither Postgres nor Redis."""

import csv
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from sandbox.domains import Behaviour
from sandbox.internet import Internet
from sandbox.people import Person
from tests.growth_command import run_growth
from tests.integration.conftest import Population

Verify = Callable[..., "subprocess.CompletedProcess[str]"]

COMMAND = [sys.executable, "-c", "from cli.main import main; main()", "verify"]
WITHOUT_SERVERS = {"DATABASE_URL": "", "REDIS_URL": "", "COLUMNS": "160"}


@pytest.fixture
def verify(internet: Internet, tmp_path: Path) -> Verify:
    def run(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, **WITHOUT_SERVERS, **internet.settings(), **settings}
        return run_growth("verify", *arguments, env=environment, cwd=tmp_path)

    return run


def people_at(population: Population, behaviour: Behaviour, verdict: str | None = None) -> list[Person]:
    domains = {domain.name for domain in population.domains if domain.behaviour is behaviour}
    people = [*population.hundred, *population.crowd]
    return [each for each in people if each.domain in domains and each.email and verdict in (None, each.verdict)]


@pytest.fixture
def valid(population: Population) -> str:
    return str(people_at(population, Behaviour.ORDINARY, "valid")[0].email)


def test_a_valid_address_is_shown_as_a_conversation_from_syntax_to_verdict(verify: Verify, valid: str) -> None:
    done = verify(valid)

    assert (done.returncode, done.stderr) == (0, "")
    steps = [line.split()[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert steps == ["Syntax", "Domain", "Connection", "Greeting", "EHLO", "MAIL", "RCPT", "Random", "QUIT", "Verdict"]
    for text in (f"C: RCPT TO:<{valid}>", "S: 250", "= no such mailbox", "S: 221", " ms]", "score 97", "safe to send"):
        assert text in done.stdout


def test_a_list_keeps_its_columns_and_order_and_gets_the_right_verdicts(
    verify: Verify, population: Population, tmp_path: Path
) -> None:
    with_stated_delay = [domain.name for domain in population.domains if domain.dialect == "exim"]
    greylisted = [each for each in people_at(population, Behaviour.GREYLISTING) if each.domain not in with_stated_delay]
    people = [*people_at(population, Behaviour.ORDINARY)[:40], *greylisted[:2]]
    rows = [[person.crm_id, f" {person.email} ", "näher"] for person in people]
    invalid = [rows[0], ["x", "no address", ""], ["y", "", ""]]
    write(tmp_path / "list.csv", [["id", "Work E-Mail", "note"], *rows, *invalid])

    done = verify("--file", "list.csv", "--output", "out.csv", "--patience", "2")

    assert done.returncode == 0, done.stderr
    header, *results = read(tmp_path / "out.csv")
    assert header[:5] == ["id", "Work E-Mail", "note", "email_status", "email_reason"]
    assert [row[:3] for row in results[: len(rows)]] == rows
    verdicts = {row[0]: row[3] for row in results}
    assert [verdicts[person.crm_id] for person in people] == [person.verdict or "invalid" for person in people]
    assert [row[3:5] for row in results[-2:]] == [["invalid", "syntax"], ["skipped", "no_email"]]
    assert f"{len(rows) + 3} rows in out.csv" in done.stdout
    assert ["1", "skipped", "no_email"] in [line.split()[:3] for line in done.stdout.splitlines()]
    assert "Different addresses" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.csv", "out.csv"]


def test_a_stopped_list_continues_where_it_stopped(
    verify: Verify, population: Population, tmp_path: Path, internet: Internet
) -> None:
    domain = people_at(population, Behaviour.GREYLISTING)[0].domain
    answered = people_at(population, Behaviour.ORDINARY)[:10]
    write(tmp_path / "list.csv", [["email"], *([str(person.email)] for person in answered), [f"unknown-user@{domain}"]])
    arguments = ["--file", "list.csv", "--output", "out.csv", "--patience", "60"]
    environment = {**os.environ, **WITHOUT_SERVERS, **internet.settings(), "DEFER_SECONDS": "60"}
    internet.reset_counts()
    first = subprocess.Popen([*COMMAND, *arguments], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: internet.counts.recipients.get(domain, 0) > 0)
    wait_until(lambda: outcomes_in(tmp_path / ".out.csv.progress") >= 10)
    first.send_signal(signal.SIGINT)
    _, stderr = first.communicate(timeout=30)
    probed = internet.counts.recipients

    done = verify(*arguments[:-1], "0")

    assert first.returncode == 130
    assert "Stopped: 10 of 11 different addresses are checked." in stderr
    assert done.returncode == 0
    assert len(read(tmp_path / "out.csv")) == 12
    later = internet.counts.recipients
    assert {name for name in later if later[name] != probed[name]} == {domain}


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def outcomes_in(progress: Path) -> int:
    """The number of addresses with an outcome in the worklist beside the output."""
    with closing(sqlite3.connect(progress)) as worklist:
        return int(worklist.execute("SELECT count(*) FROM addresses WHERE verdict IS NOT NULL").fetchone()[0])


def write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=";").writerows(rows)


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        first = file.readline()
        file.seek(0)
        return list(csv.reader(file, delimiter=";" if ";" in first else ","))


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--file", "missing.csv", "--output", "out.csv"], 5, "can't be read: No such file or directory"),
        (["--file", "missing.csv"], 2, "give addresses, or --file with --output"),
    ],
)
def test_a_wrong_call_is_one_clear_sentence(verify: Verify, arguments: Sequence[str], code: int, sentence: str) -> None:
    done = verify(*arguments)

    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
