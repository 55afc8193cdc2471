"""`growth up` and `growth demo`: everything on one machine, and nothing left behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

COMMAND = [sys.executable, "-c", "from cli.main import main; main()"]


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="growth-home-") as directory:
        yield Path(directory)


def environment(home: Path) -> dict[str, str]:
    ours = ("DATABASE_URL", "REDIS_URL", "GROWTH_API_URL", "GROWTH_API_KEY")
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return {**inherited, "GROWTH_HOME": str(home), "COLUMNS": "160"}


def growth(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(home), capture_output=True, text=True, timeout=110, check=False
    )


def wait_for_text(path: Path, text: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while text not in path.read_text():
        assert process.poll() is None, path.read_text()
        assert time.monotonic() < deadline, path.read_text()
        time.sleep(0.1)


@contextmanager
def running_up(home: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`growth up` that says it is ready; killed if it should outlive its test."""
    output = home / "up.log"
    with output.open("wb") as log:
        command = [*COMMAND, "up", "--sandbox", "--port", "0"]
        up = subprocess.Popen(command, env=environment(home), stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for_text(output, "Ctrl-C", up)
        yield up
    finally:
        up.kill()


def test_up_serves_until_ctrl_c_and_leaves_no_process_behind(home: Path) -> None:
    with running_up(home) as up:
        done = growth(home, "submit", str(home / "sandbox-contacts.csv"), "--watch")
        created = growth(home, "account", "create", "Example Buyer")
        started = psutil.Process(up.pid).children(recursive=True)
        up.send_signal(signal.SIGINT)

        assert done.returncode == 0, done.stderr
        assert "completed, 100%" in done.stdout
        assert "API key" in created.stdout
        assert up.wait(30) == 0
    assert len(started) > 5
    assert [process for process in started if process.is_running()] == []


def test_a_terminal_that_is_closed_ends_up_as_well(home: Path) -> None:
    with running_up(home) as up:
        started = psutil.Process(up.pid).children(recursive=True)
        up.send_signal(signal.SIGHUP)

        assert up.wait(30) == 0
    assert len(started) > 5
    assert [process for process in started if process.is_running()] == []


def test_the_demo_prints_what_it_promises(home: Path) -> None:
    done = growth(home, "demo", "--contacts", "120")

    assert done.returncode == 0, done.stderr
    for promised in ("Delivered", "Verified", "Unresolved", '"status": "completed"', "precision", "results.csv"):
        assert promised in done.stdout
    assert "messages sent: 0" in done.stdout
    assert (home / "demo" / "results.csv").read_text().count("\n") == 121


def test_an_ended_demo_leaves_no_process_behind(home: Path) -> None:
    output = home / "demo.log"
    with output.open("wb") as log:
        demo = subprocess.Popen([*COMMAND, "demo"], env=environment(home), stdout=log, stderr=subprocess.STDOUT)
    wait_for_text(output, "Flower http", demo)
    started = psutil.Process(demo.pid).children(recursive=True)

    demo.send_signal(signal.SIGTERM)

    assert demo.wait(30) == 128 + signal.SIGTERM
    assert [process for process in started if process.is_running()] == []
