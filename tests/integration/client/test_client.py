"""Both clients, on the running engine."""

import asyncio
import csv
import hashlib
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from cli.local.stack import Stack
from growth_client import (
    AsyncGrowthClient,
    Conflict,
    DownloadFailed,
    GrowthClient,
    Invalid,
    NotAuthorised,
    NotFound,
    Retries,
    Unreachable,
    UploadRefused,
    uploading,
)
from growth_client.enqueue import create_run, send
from models.database import Database
from settings import read_settings
from tests.factories import pending_run
from tests.integration.conftest import Client, Population, contacts_of, end_runs

QUICK = Retries(seconds=2, first_pause=0.05)


class Blocking:
    """The asynchronous client, with the methods of the other one."""

    def __init__(self, base_url: str, api_key: str, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncGrowthClient(base_url, api_key, **options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*args: Any, **options: Any) -> Any:
            called = method(*args, **options)
            return self._runner.run(called) if asyncio.iscoroutine(called) else self._each(called)

        return call

    def _each(self, items: Any) -> Iterator[Any]:
        async def next_one() -> Any:
            return await anext(items, self)

        while (item := self._runner.run(next_one())) is not self:
            yield item

    def __enter__(self) -> "Blocking":
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.close())
        self._runner.close()


@pytest.fixture(params=[GrowthClient, Blocking], ids=["blocking", "asyncio"])
def growth(request: pytest.FixtureRequest, client: Client) -> Iterator[GrowthClient]:
    with request.param(client.api.api_url, client.account.api_key) as opened:
        yield opened


def test_contacts_become_a_run_that_is_watched_to_its_end_and_downloaded(
    growth: GrowthClient, population: Population, tmp_path: Path
) -> None:
    people = contacts_of(population.hundred[:30])
    run_id = growth.submit(people, output={"preview_rows": 3})["run_id"]

    states = list(growth.watch(run_id))
    results = list(growth.results(run_id))
    handle = growth.download(run_id, tmp_path / "found.csv")

    assert states[-1]["status"] == "completed"
    assert [state["progress"]["percent"] for state in states] == sorted(s["progress"]["percent"] for s in states)
    assert [each["last_name"] for each in results] == [person["last_name"] for person in people]
    with (tmp_path / "found.csv").open(newline="", encoding="utf-8-sig") as file:
        assert len(list(csv.reader(file))) == 31
    assert hashlib.sha256((tmp_path / "found.csv").read_bytes()).hexdigest() == handle["sha256"]
    assert list(tmp_path.iterdir()) == [tmp_path / "found.csv"]


def test_a_format_that_was_not_asked_for_is_made_and_an_artifact_is_fetched(
    growth: GrowthClient, population: Population, tmp_path: Path
) -> None:
    run_id = growth.submit(contacts_of(population.hundred[:5]), output={"export_formats": ["csv"]})["run_id"]
    assert list(growth.watch(run_id))[-1]["status"] == "completed"

    growth.download(run_id, tmp_path / "found.xlsx", "xlsx")
    growth.download(run_id, tmp_path / "verified.csv", "verified_contacts")

    assert (tmp_path / "found.xlsx").read_bytes()[:2] == b"PK"
    assert (tmp_path / "verified.csv").stat().st_size > 0


def test_a_file_is_uploaded_in_pieces_quoted_and_run(
    growth: GrowthClient, population: Population, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "PIECE", 100)
    path = tmp_path / "people.csv"
    rows = [f"{p.first_name};{p.last_name};{p.domain}" for p in population.hundred[:10]]
    path.write_text("\n".join(["Vorname;Nachname;Webseite", *rows]), encoding="utf-8")

    shown = growth.upload(path, mapping={"domain": "Webseite"})
    quote = growth.quote(upload_id=shown["upload_id"])
    accepted = growth.submit_plan(quote["goal_plan"], quote_token=quote["quote_token"])

    assert shown["counts"] is not None
    assert (shown["status"], shown["counts"]["contacts"]) == ("ready", 10)
    assert quote["credits_total"] == 40
    assert list(growth.watch(accepted["run_id"]))[-1]["status"] == "completed"


def test_the_same_file_is_not_sent_twice(growth: GrowthClient, tmp_path: Path) -> None:
    content = b"full_name,domain\nGrace Hopper,alpha.test\n"

    first = growth.upload(content, name="people.csv")
    again = growth.upload(content, name="people.csv")

    assert again["upload_id"] == first["upload_id"]


def test_a_file_that_can_not_be_used_is_a_sentence(growth: GrowthClient) -> None:
    with pytest.raises(UploadRefused, match="has a header but no contacts"):
        growth.upload(b"full_name,domain\n")


def test_the_advice_about_a_file_names_the_arguments_of_the_client(growth: GrowthClient) -> None:
    with pytest.raises(UploadRefused, match=r'such as mapping=\{"first_name": "COLUMN", "last_name": "COLUMN"\}\.$'):
        growth.upload(b"who,domain\nGrace Hopper,alpha.test\n")


def test_the_same_key_gives_the_same_run_and_another_body_is_a_conflict(growth: GrowthClient) -> None:
    key = uuid4().hex
    contact = {"full_name": "Grace Hopper", "domain": "alpha.test"}

    first = growth.submit([contact], idempotency_key=key)
    again = growth.submit([contact], idempotency_key=key)

    assert again["run_id"] == first["run_id"]
    with pytest.raises(Conflict, match="another body"):
        growth.submit([contact, contact], idempotency_key=key)


def test_a_run_is_cancelled_once_and_retried_as_another(
    growth: GrowthClient, client: Client, stack_database: Database
) -> None:
    waiting = str(pending_run(stack_database, 3, client.account.account_id))

    cancelled, again = growth.cancel(waiting), growth.cancel(waiting)
    retried = growth.retry(waiting)

    assert cancelled["status"] == again["status"] == "cancelled"
    assert retried["run_id"] != waiting
    assert [run["run_id"] for run in growth.runs(status="cancelled")] == [waiting]
    assert growth.timeline(waiting)[0]["kind"] == "created"
    end_runs(stack_database, client.account.account_id)


def test_what_the_api_refuses_is_raised_with_its_sentence(growth: GrowthClient, client: Client) -> None:
    with pytest.raises(Invalid, match="contact 1: field domain is missing"):
        growth.submit([{"full_name": "Grace Hopper"}])
    with pytest.raises(NotFound):
        growth.state(str(uuid4()))
    with pytest.raises(NotFound):
        list(growth.watch(str(uuid4())))
    with GrowthClient(client.api.api_url, "wrong") as stranger, pytest.raises(NotAuthorised, match="not valid"):
        stranger.state(str(uuid4()))


class CuttingProxy:
    """Passes connections on to the API, and cuts each one after so many bytes of the answer, or of the request.

    Or as soon as it has passed on an answer's piece that contains `last_down`.
    """

    def __init__(
        self, target: str, most_down: int = 1 << 40, most_up: int = 1 << 40, last_down: bytes | None = None
    ) -> None:
        url = httpx.URL(target)
        self._target = (url.host, url.port or 80)
        self._most = (most_up, most_down)
        self._last_down = last_down
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.connections = 0
        self._threads: list[threading.Thread] = []
        self._start(self._serve)

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                self.connections += 1
                self._start(self._pass_on, near)

    def _pass_on(self, near: socket.socket) -> None:
        up, down = self._most
        with near, socket.create_connection(self._target) as far:
            rest = {near: (far, up), far: (near, down)}
            with suppress(OSError):
                while all(most > 0 for _, most in rest.values()):
                    for source in select.select(list(rest), [], [], 5)[0]:
                        sink, most = rest[source]
                        piece = source.recv(min(65536, most))
                        if not piece:
                            return
                        sink.sendall(piece)
                        if source is far and self._last_down and self._last_down in piece:
                            return
                        rest[source] = (sink, most - len(piece))

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(20)


@contextmanager
def cutting(client: Client, **limits: Any) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(client.api.api_url, **limits)
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.mark.parametrize("kind", [GrowthClient, Blocking], ids=["blocking", "asyncio"])
def test_a_download_goes_on_where_the_connection_was_cut(
    kind: type[Any], client: Client, population: Population, tmp_path: Path
) -> None:
    run_id = client.create(population.hundred)
    client.finished(run_id)
    with cutting(client, most_down=9_000) as proxy, kind(proxy.url, client.account.api_key, retries=QUICK) as growth:
        handle = growth.download(run_id, tmp_path / "found.json", "json")

        assert handle["bytes"] > 9_000
        assert proxy.connections > handle["bytes"] // 9_000
    assert hashlib.sha256((tmp_path / "found.json").read_bytes()).hexdigest() == handle["sha256"]


@pytest.mark.parametrize("kind", [GrowthClient, Blocking], ids=["blocking", "asyncio"])
def test_an_upload_goes_on_where_the_connection_was_cut(kind: type[Any], client: Client, tmp_path: Path) -> None:
    rows = "".join(f"Given{n} Family{n},alpha.test,{uuid4()}\n" for n in range(60_000))
    content = f"full_name,domain,id\n{rows}".encode()
    with (
        cutting(client, most_up=2_000_000) as proxy,
        kind(proxy.url, client.account.api_key, retries=QUICK) as growth,
    ):
        shown = growth.upload(content, name="people.csv")

        assert proxy.connections > 1
    assert len(content) > 3_000_000
    assert (shown["status"], shown["counts"]["contacts"]) == ("ready", 60_000)
    assert shown["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("kind", [GrowthClient, Blocking], ids=["blocking", "asyncio"])
def test_a_watch_goes_on_when_its_stream_is_cut(kind: type[Any], client: Client, population: Population) -> None:
    run_id = client.create(population.crowd)
    behind_each_step = {"last_down": b"event: timeline"}
    with (
        cutting(client, **behind_each_step) as proxy,
        kind(proxy.url, client.account.api_key, retries=QUICK) as growth,
    ):
        events = list(growth.events(run_id))

        assert proxy.connections > 1
    ids = [int(event.id) for event in events if event.kind == "timeline"]
    assert ids == sorted(set(ids))
    assert [event.data["kind"] for event in events if event.kind == "timeline"][-1] == "completed"
    assert events[-1].data["status"] == "completed"


def test_a_download_with_another_checksum_leaves_nothing_behind(
    client: Client, population: Population, stack: Stack, stack_database: Database, tmp_path: Path
) -> None:
    run_id = client.create(population.hundred[:5])
    client.finished(run_id)
    query = text("SELECT storage_key FROM artifacts WHERE run_id = :id AND asset_id = 'contacts_json'")
    with stack_database.transaction() as session:
        key = session.scalar(query, {"id": run_id})
    stored = Path(stack.engine.environment["EXPORT_DIR"], str(key))
    stored.write_bytes(stored.read_bytes().replace(b"first_name", b"FIRST_NAME"))

    with (
        GrowthClient(client.api.api_url, client.account.api_key) as growth,
        pytest.raises(DownloadFailed, match="checksum"),
    ):
        growth.download(run_id, tmp_path / "found.json", "json")

    assert list(tmp_path.iterdir()) == []


def test_the_message_alone_starts_a_run_that_was_made_in_sql(
    client: Client, stack: Stack, stack_database: Database
) -> None:
    engine = stack.engine.environment
    with stack_database.engine.begin() as connection:
        ada = {"full_name": "Ada Byrne", "domain": "alpha.test"}
        run_id = create_run(connection, client.account.account_id, [ada]).run_id
        connection.execute(text("UPDATE runs SET resend_at = now() + interval '1 hour' WHERE id = :id"), {"id": run_id})

    send(read_settings(redis_url=engine["REDIS_URL"]).celery_broker_url, run_id)

    assert client.finished(str(run_id))["status"] == "completed"


def test_an_api_that_is_not_there_is_a_sentence(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with (
        GrowthClient(f"http://127.0.0.1:{port}", client.account.api_key, retries=Retries(seconds=0.2)) as growth,
        pytest.raises(Unreachable, match="no connection"),
    ):
        growth.state(str(uuid4()))
