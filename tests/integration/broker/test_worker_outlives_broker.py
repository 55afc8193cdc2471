"""A worker with a running task and a free thread survives when its broker is killed.

Celery 5.7.0 does not (docs/decisions/0003-celery.md): this test decides which release we pin.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.broker.broker_and_workers import Broker, running_worker, wait_for

pytestmark = pytest.mark.proof

STARTS_WITHIN_S = 5
"""The guarantee after lost connections (docs/reliability.md)."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    running = Broker(tmp_path / "valkey")
    yield running
    running.server.terminate()


@pytest.fixture
def worker(broker: Broker, tmp_path: Path, project_root: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with running_worker("broker_probe", broker.url, tmp_path / "worker.log", project_root) as process:
        yield process


@pytest.fixture
def channelless_worker(broker: Broker, tmp_path: Path, project_root: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with running_worker("lost_channel_app", broker.url, tmp_path / "worker.log", project_root) as process:
        yield process


def is_running(process: "subprocess.Popen[bytes]") -> bool:
    return process.poll() is None


def start_task(place: Path, broker: Broker) -> None:
    """Send a task that runs until the file `release` exists."""
    broker.send("probe.hold", place)
    wait_for((place / "held").exists, "the start of the task")


def test_a_worker_with_a_running_task_and_a_free_thread_outlives_its_broker(
    broker: Broker, worker: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    start_task(tmp_path, broker)

    broker.kill()
    wait_for(lambda: b"Connection to broker lost" in (tmp_path / "worker.log").read_bytes(), "the worker's notice")
    broker.start(broker.port)
    wait_for(broker.answers, "the broker's return")
    (tmp_path / "release").touch()

    broker.send("probe.mark", tmp_path / "marked")
    wait_for((tmp_path / "marked").exists, "a task after the broker's return")
    assert worker.poll() is None


def test_a_task_sent_after_lost_connections_starts_within_5_s_if_a_thread_is_free(
    broker: Broker, worker: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    start_task(tmp_path, broker)

    for number in range(3):
        broker.hang_up()
        broker.send("probe.mark", tmp_path / f"marked-{number}")
        wait_for((tmp_path / f"marked-{number}").exists, "a task after lost connections", STARTS_WITHIN_S)
    (tmp_path / "release").touch()


def test_a_worker_without_a_free_thread_leaves_tasks_to_others_after_lost_connections(
    broker: Broker, worker: "subprocess.Popen[bytes]", tmp_path: Path, project_root: Path
) -> None:
    places = [tmp_path / "one", tmp_path / "two"]
    for place in places:
        place.mkdir()
        start_task(place, broker)
    broker.forget_deliveries()
    broker.hang_up()
    wait_for(broker.has_listener, "the worker's return")

    broker.send("probe.mark", tmp_path / "marked")
    with running_worker("broker_probe", broker.url, tmp_path / "second.log", project_root):
        wait_for((tmp_path / "marked").exists, "the task, by the second worker")

    for place in places:
        (place / "release").touch()


def test_a_worker_outlives_a_task_whose_end_it_can_no_longer_acknowledge(
    broker: Broker, channelless_worker: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    start_task(tmp_path, broker)

    (tmp_path / "release").touch()

    wait_for(
        lambda: (
            b"can't be acknowledged" in (tmp_path / "worker.log").read_bytes() or not is_running(channelless_worker)
        ),
        "the task's end",
    )
    assert is_running(channelless_worker)


def test_a_worker_tries_to_reconnect_each_second_however_long_its_broker_is_unavailable(
    broker: Broker, worker: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    broker.send("probe.mark", tmp_path / "before")
    wait_for((tmp_path / "before").exists, "a task before the broker's death")

    broker.kill()

    wait_for(lambda: len(pauses_in(tmp_path / "worker.log")) >= 3, "the third attempt to connect")
    assert set(pauses_in(tmp_path / "worker.log")) == {"1.00"}
    assert worker.poll() is None


def pauses_in(log: Path) -> list[str]:
    """The pauses in seconds that the worker logs after each attempt."""
    return re.findall(r"Trying again in ([\d.]+) second", log.read_text())
