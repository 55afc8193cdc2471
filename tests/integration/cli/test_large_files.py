"""A large file of `growth submit` is uploaded, whatever happens to the connection; its results come back as rows."""

import csv
import hashlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rich.console import Console

from cli.client import ApiClient, Credentials
from cli.submission import Reading
from cli.uploading import LARGE, is_large, upload
from models.database import Database
from pipeline.errors import UnusableFile
from tests.factories import count
from tests.faults.machine.relay import Relay, running_relays, to_port
from tests.integration.cli.test_command import Growth, growth, run_id_of
from tests.integration.conftest import Client, Population

__all__ = ["growth"]

pytestmark = pytest.mark.proof

PADDING = "x" * 10_000
QUIET = Console(quiet=True)


@pytest.fixture
def large_csv(population: Population, tmp_path: Path) -> Path:
    """Each of a hundred people nine times, one row without a domain, and an empty row."""
    path = tmp_path / "people.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Vorname", "Nachname", "Webseite", "Notiz"])
        for _ in range(9):
            writer.writerows([each.first_name, each.last_name, each.domain, PADDING] for each in population.hundred)
        writer.writerows([["Ada", "Ex", "", "no domain"], ["", "", "", ""]])
    assert is_large(path)
    return path


def test_it_is_worked_and_each_of_its_rows_comes_back(growth: Growth, large_csv: Path, tmp_path: Path) -> None:
    done = growth("submit", "people.csv", "--watch")

    assert done.returncode == 0, done.stderr
    assert "100 contacts queued" in done.stdout
    assert "first_name = Vorname, last_name = Nachname, domain = Webseite" in done.stderr
    assert "800 rows are repeated: worked and charged once" in done.stderr
    assert "1 row is empty" in done.stderr
    with (tmp_path / "people.rejected.csv").open(newline="") as file:
        assert list(csv.reader(file))[1] == [
            "902", "domain", "it is missing: give the company's domain, or an email", "Ada", "Ex", "", "no domain"
        ]  # fmt: skip

    exported = growth("export", run_id_of(done.stdout), "--output", "out.csv")

    assert "902 rows in out.csv, as they were uploaded" in exported.stdout
    with large_csv.open(newline="") as sent, (tmp_path / "out.csv").open(newline="") as back:
        before, after = list(csv.reader(sent)), list(csv.reader(back))
    assert [row[:4] for row in after] == before
    assert after[0][4:] == ["email", "email_status", "email_reason", "email_score", "email_source"]
    assert sum(row[5] == "valid" for row in after) == 9 * 78
    assert after[901][5:7] == ["rejected", "domain: it is missing: give the company's domain, or an email"]
    assert after[902][4:] == [""] * 5


def test_the_same_key_gives_the_same_run(growth: Growth, large_csv: Path) -> None:
    one, other = (growth("submit", str(large_csv), "--idempotency-key", "k") for _ in range(2))

    assert run_id_of(one.stdout) == run_id_of(other.stdout)


def test_strict_sends_nothing_on(growth: Growth, large_csv: Path, client: Client) -> None:
    done = growth("submit", str(large_csv), "--strict")

    assert done.returncode == 1
    assert "Row 902, field domain: it is missing" in done.stderr
    assert client.http.get("/api/v1/growth/uploads").json() == {"uploads": []}


def test_a_file_that_cannot_be_used_is_refused_with_its_sentence(growth: Growth, tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("colour,size\n" + "red,1\n" * (LARGE // 6))

    done = growth("submit", "odd.csv")

    assert done.returncode == 1
    assert "odd.csv has no usable columns" in done.stderr


@pytest.fixture
def relay(client: Client) -> Iterator[Relay]:
    with running_relays(to_port(int(urlsplit(client.api.api_url).port or 0))) as [only]:
        yield only


@pytest.fixture
def through_relay(client: Client, relay: Relay) -> Iterator[ApiClient]:
    with ApiClient(Credentials(f"http://127.0.0.1:{relay.port}", client.account.api_key)) as api:
        yield api


def test_it_goes_on_after_cut_connections(
    through_relay: ApiClient, relay: Relay, large_csv: Path, stack_database: Database, client: Client
) -> None:
    over = threading.Event()

    def cut_again_and_again() -> None:
        while not over.wait(0.1):
            relay.reset()

    cutting = threading.Thread(target=cut_again_and_again)
    cutting.start()
    threading.Timer(1.5, over.set).start()

    shown = upload(through_relay, large_csv, Reading(), QUIET)

    cutting.join()
    assert shown["sha256"] == hashlib.sha256(large_csv.read_bytes()).hexdigest()
    assert shown["counts"]["contacts"] == 100
    with stack_database.transaction() as session:
        query = """SELECT sum(length(content)) FROM upload_pieces p JOIN uploads u ON u.id = p.upload_id
                   WHERE u.account_id = :id"""
        assert count(session, query, id=client.account.account_id) % large_csv.stat().st_size == 0


def test_a_command_that_is_started_again_sends_only_the_rest(client: Client, large_csv: Path) -> None:
    data = large_csv.read_bytes()
    begun = client.api.create_upload("people.csv", len(data), hashlib.sha256(data).hexdigest())
    client.api.send_bytes(begun, 0, iter([data[:3_000_000]]), 3_000_000)

    shown = upload(client.api, large_csv, Reading(), QUIET)

    assert shown["upload_id"] == begun
    assert shown["status"] == "ready"


def test_a_refused_upload_is_deleted(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("colour\nred\n")

    with pytest.raises(UnusableFile, match=re.escape("odd.csv has no usable columns")):
        upload(client.api, path, Reading(), QUIET)
    assert client.api.uploads() == []
