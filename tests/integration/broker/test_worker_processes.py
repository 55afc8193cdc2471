"""`python -m worker` keeps its worker processes running, and ends with them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import pytest

from tests.integration.broker.broker_and_workers import wait_for

pytestmark = pytest.mark.proof

PROCESSES = 2
POSTGRES_AWAY = {"DATABASE_URL": "postgresql://127.0.0.1:9/none", "LEASE_SECONDS": "1", "CHECKPOINT_SECONDS": "0.1"}
APP = "tests.integration.broker.noting_shutdowns"


@pytest.fixture
def environment(database_url: str, valkey_url: str) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": valkey_url}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "worker.log"


@pytest.fixture
def parent(environment: dict[str, str], log: Path, project_root: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with running_workers(environment, log, project_root) as process:
        yield process


@contextmanager
def running_workers(environment: dict[str, str], log: Path, project_root: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "worker", "--app", APP, "--hostname", "w@%h", "--processes", str(PROCESSES)]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, env=environment, cwd=project_root, stdout=output, stderr=output, start_new_session=True
        ) as process,
    ):
        wait_for(lambda: log.read_bytes().count(b" ready.") == PROCESSES, "the workers")
        yield process
        process.terminate()


def workers_of(parent: "subprocess.Popen[bytes]") -> set[int]:
    return {child.pid for child in psutil.Process(parent.pid).children()}


def test_a_worker_process_that_is_killed_is_started_again(parent: "subprocess.Popen[bytes]", log: Path) -> None:
    before = workers_of(parent)
    victim = min(before)

    os.kill(victim, signal.SIGKILL)

    wait_for(lambda: log.read_bytes().count(b" ready.") == PROCESSES + 1, "its successor")
    assert len(workers_of(parent)) == PROCESSES
    assert len(workers_of(parent) & before) == PROCESSES - 1


def test_sigterm_ends_all_processes_and_counts_as_success(parent: "subprocess.Popen[bytes]") -> None:
    workers = workers_of(parent)

    parent.terminate()

    assert parent.wait(30) == 0
    assert not any(psutil.pid_exists(pid) for pid in workers)


def test_ctrl_c_stops_each_process_once_and_so_lets_it_drain(parent: "subprocess.Popen[bytes]", log: Path) -> None:
    """A terminal sends the signal to the whole process group. A second one would cut the tasks in hand."""
    os.killpg(parent.pid, signal.SIGINT)

    assert parent.wait(30) == 0
    assert log.read_bytes().count(b"Warm shutdown") == PROCESSES
    assert b"Cold shutdown" not in log.read_bytes()


def test_worker_processes_end_when_their_parent_is_killed(parent: "subprocess.Popen[bytes]") -> None:
    workers = [psutil.Process(pid) for pid in workers_of(parent)]

    parent.kill()

    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"DATABASE_URL": "", "REDIS_URL": ""}, "DATABASE_URL and REDIS_URL must be set."),
        ({"CHUNK_SIZE": "0"}, "Setting CHUNK_SIZE is not usable"),
        ({"LISTS_DIR": "/missing"}, "Setting LISTS_DIR is not usable: there is no directory /missing."),
        ({"REPLY_RULES_FILE": "/missing"}, "Setting REPLY_RULES_FILE is not usable"),
        ({"PROVIDERS_FILE": "/missing"}, "/missing can't be read"),
    ],
)
def test_settings_that_no_worker_could_use_are_refused_once_before_any_is_started(
    environment: dict[str, str], project_root: Path, changed: dict[str, str], reason: str
) -> None:
    ended = run_worker(project_root, environment | changed, "--processes", "2")

    assert ended.returncode == 1
    assert ended.stderr.startswith(reason)
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""


def test_no_process_is_too_few(environment: dict[str, str], project_root: Path) -> None:
    ended = run_worker(project_root, environment, "--processes", "0")

    assert ended.returncode == 2
    assert "at least 1" in ended.stderr


def test_workers_that_can_not_start_end_their_parent_with_the_reason(
    environment: dict[str, str], project_root: Path
) -> None:
    ended = run_worker(project_root, environment, "--app", "tests.no_such_application")

    assert ended.returncode == 2
    assert "no_such_application" in ended.stderr


def send_chunk_tasks(environment: dict[str, str], project_root: Path, run_id: UUID, count: int) -> None:
    program = f"from worker.dispatch import send_chunk_tasks; send_chunk_tasks('{run_id}', 'email_lookup', {count})"
    subprocess.run([sys.executable, "-c", program], env=environment, cwd=project_root, check=True)


def run_worker(project_root: Path, environment: dict[str, str], *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "worker", *options]
    return subprocess.run(
        command, env=environment, cwd=project_root, capture_output=True, text=True, timeout=60, check=False
    )


def test_what_workers_log_at_start_and_at_a_normal_stop_holds_no_warning(
    parent: "subprocess.Popen[bytes]", log: Path
) -> None:
    parent.terminate()

    assert parent.wait(30) == 0
    assert "Warning" not in log.read_text()
    assert log.read_text().count("stopping: ") == 1


def test_a_task_without_postgres_ends_with_a_sentence_and_no_traceback(
    environment: dict[str, str], log: Path, project_root: Path
) -> None:
    run_id = uuid4()

    with running_workers(environment | POSTGRES_AWAY, log, project_root):
        send_chunk_tasks(environment, project_root, run_id, 1)
        wait_for(lambda: b"the task ends" in log.read_bytes(), "the end of the task")

    assert f"run {run_id}, task growth.chunk: Postgres is unavailable" in log.read_text()
    assert "Traceback" not in log.read_text()
