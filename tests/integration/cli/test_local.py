"""`growth up` and `growth demo`: everything on one machine, and no process left at the end."""

import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis
from sqlalchemy.engine import make_url

pytestmark = pytest.mark.proof

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
    """A `growth up` that is ready. It is killed if it still runs when the block ends."""
    output = home / "up.log"
    with output.open("wb") as log:
        command = [*COMMAND, "up", "--sandbox", "--port", "0"]
        up = subprocess.Popen(command, env=environment(home), stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for_text(output, "Ctrl-C", up)
        yield up
    finally:
        up.kill()
        up.wait()


def test_up_serves_until_ctrl_c_and_leaves_no_process_behind(home: Path) -> None:
    with running_up(home) as up:
        done = growth(home, "submit", str(home / "sandbox-contacts.csv"), "--watch")
        created = growth(home, "account", "create", "Example Buyer")
        started = psutil.Process(up.pid).children(recursive=True)
        assert_it_serves_its_owner_only(home, started)
        up.send_signal(signal.SIGINT)

        assert done.returncode == 0, done.stderr
        assert "completed, 100%" in done.stdout
        assert "API key" in created.stdout
        assert up.wait(30) == 0
    assert len(started) > 5
    assert left_of(started) == []


def test_after_a_crash_up_starts_again_with_its_account_and_ends_when_its_terminal_closes(home: Path) -> None:
    with running_up(home) as up:
        crashed = psutil.Process(up.pid).children(recursive=True)
        key = json.loads((home / "credentials.json").read_text())["api_key"]
        up.kill()

    with running_up(home) as up:
        started = psutil.Process(up.pid).children(recursive=True)
        assert json.loads((home / "credentials.json").read_text())["api_key"] == key
        up.send_signal(signal.SIGHUP)

        assert up.wait(30) == 0
    assert len(started) > 5
    assert left_of([*crashed, *started]) == []


def left_of(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those that do not go. One whose parent has ended first is there until init has taken note of its end."""
    return psutil.wait_procs(processes, timeout=5)[1]


def assert_it_serves_its_owner_only(home: Path, started: list[psutil.Process]) -> None:
    second = growth(home, "up")
    verified = growth(home, "verify", "--json", address_in(home))
    saved = json.loads((home / "credentials.json").read_text())
    url = make_url(saved["settings"]["REDIS_URL"])
    shown = " ".join(" ".join(process.cmdline()) for process in started)
    logs = "".join(path.read_text(errors="replace") for path in home.rglob("*log") if path.is_file())

    assert second.returncode == 1
    assert f"An engine runs in {home} already, with its API at {saved['api_url']}." in second.stderr
    assert json.loads(verified.stdout)["reason"] not in ("no_such_domain", "dns_failure"), "not the sandbox's DNS"
    assert is_private(home)
    assert all(map(is_private, (home / "credentials.json", home / "exports", home / "logs", home / "valkey")))
    assert all(map(is_private, (home / "postgres").glob(".s.PGSQL.*")))
    with redis.Redis(port=url.port or 0) as stranger, pytest.raises(redis.exceptions.NoPermissionError):
        stranger.keys()
    for secret in (str(url.password), saved["api_key"]):
        assert secret not in shown + logs


def address_in(home: Path) -> str:
    with (home / "sandbox-contacts.csv").open(encoding="utf-8", newline="") as file:
        return f"info@{next(csv.DictReader(file))['domain']}"


def is_private(path: Path) -> bool:
    return path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_setting_that_can_not_be_used_is_refused_before_anything_is_started(
    home: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTS_DIR", "/missing")

    done = growth(home, command)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Setting LISTS_DIR is not usable: there is no directory /missing.\n"
    assert list(home.iterdir()) == []


def test_the_demo_prints_its_results(home: Path) -> None:
    done = growth(home, "demo", "--contacts", "120")

    assert done.returncode == 0, done.stderr
    for expected in ("Delivered", "Verified", "Unresolved", '"email_status": "valid"', "precision", "results.csv"):
        assert expected in done.stdout
    assert "messages sent: 0" in done.stdout
    assert done.stdout.count("\n") < 70
    assert json.loads((home / "demo" / "state.json").read_text())["status"] == "completed"
    assert (home / "demo" / "results.csv").read_text().count("\n") == 121


def test_an_ended_demo_leaves_no_process_behind(home: Path) -> None:
    output = home / "demo.log"
    with output.open("wb") as log:
        demo = subprocess.Popen([*COMMAND, "demo"], env=environment(home), stdout=log, stderr=subprocess.STDOUT)
    wait_for_text(output, "Flower http", demo)
    started = psutil.Process(demo.pid).children(recursive=True)

    demo.send_signal(signal.SIGTERM)

    assert demo.wait(30) == 128 + signal.SIGTERM
    assert left_of(started) == []
