"""Whatever goes wrong, the command ends with a sentence on stderr and a code for the shell, never with a traceback."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from cli.client import Credentials
from cli.exit_codes import UnableToCheck
from cli.verify.file import ListJob, verify_file
from settings import Settings
from tests.unit.cli.scripted_api import RUN_ID, Answer, refusal, scripted_api, state

COMMAND = [sys.executable, "-c", "from cli.main import main; main()"]
BIG = b"first_name,email\n" + b"Grace,grace@alpha.test\n" * 50_000
HANDLE = {
    "asset_id": "contacts_csv", "format": "csv", "rows": 50_000,
    "bytes": len(BIG), "sha256": hashlib.sha256(BIG).hexdigest(),
}  # fmt: skip
EXPORTED = state(export_handles=[HANDLE])


def environment(credentials: Credentials | None = None, **more: str) -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("GROWTH_")}
    if credentials:
        mine |= {"GROWTH_API_URL": credentials.api_url, "GROWTH_API_KEY": credentials.api_key}
    return {**mine, "COLUMNS": "160", **more}


def growth(*arguments: str, env: dict[str, str], cwd: Path | None = None) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([*COMMAND, *arguments], env=env, cwd=cwd, capture_output=True, timeout=60, check=False)


def test_stdout_gets_the_export_and_nothing_else() -> None:
    with scripted_api(EXPORTED, Answer(body=BIG)) as (credentials, _):
        done = growth("export", RUN_ID, "--output", "-", env=environment(credentials))

    assert (done.returncode, done.stdout) == (0, BIG)
    assert b"50000 contacts in -" in done.stderr


def test_a_wrong_export_never_reaches_stdout() -> None:
    with scripted_api(EXPORTED, Answer(body=BIG[:-1] + b"x")) as (credentials, _):
        done = growth("export", RUN_ID, "--output", "-", env=environment(credentials))

    assert (done.returncode, done.stdout) == (1, b"")
    assert b"another checksum" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        (("export", RUN_ID, "--output", "-"), ""),
        (("status", RUN_ID, "--json"), ""),
        (("status", RUN_ID, "--json"), "1"),
        (("status", RUN_ID), "1"),
    ],
)
def test_a_reader_that_closes_stdout_is_no_fault(arguments: tuple[str, ...], unbuffered: str) -> None:
    with scripted_api(EXPORTED, *([Answer(body=BIG)] if "export" in arguments else [])) as (credentials, _):
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=environment(credentials, PYTHONUNBUFFERED=unbuffered),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        errors = process.stderr.read()

    assert (process.wait(), errors) == (141, b"")
    process.stderr.close()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_stdout_is_reported(unbuffered: str) -> None:
    with scripted_api(state()) as (credentials, _), Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "status", RUN_ID, "--json"],
            env=environment(credentials, PYTHONUNBUFFERED=unbuffered), stdout=full, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip

    assert (done.returncode, done.stderr) == (1, b"The output can't be written: No space left on device.\n")


def test_json_stays_json_where_the_locale_lacks_its_letters() -> None:
    progress = {"percent": 100, "message": "Zoë, 김민준", "stages": {}}
    with scripted_api(state(progress=progress)) as (credentials, _):
        plain = environment(credentials, PYTHONIOENCODING="ascii")
        as_json = growth("status", RUN_ID, "--json", env=plain)
        as_text = growth("status", RUN_ID, env=plain)

    assert (as_json.returncode, as_text.returncode) == (0, 0), as_json.stderr + as_text.stderr
    assert json.loads(as_json.stdout)["progress"] == progress
    assert rb"Zo\xeb" in as_text.stdout


def test_a_page_in_place_of_the_api_is_one_sentence() -> None:
    with scripted_api(Answer(body=b"<html>Welcome</html>")) as (credentials, _):
        done = growth("status", RUN_ID, env=environment(credentials))

    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"is no growth engine" in done.stderr


def test_a_lost_answer_to_submit_says_how_to_get_the_run_that_may_be_there(tmp_path: Path) -> None:
    (tmp_path / "contacts.csv").write_text("email\ngrace@alpha.test\n")
    with scripted_api(refusal(503, "Not now.")) as (credentials, script):
        done = growth("submit", "contacts.csv", env=environment(credentials), cwd=tmp_path)

    key = script.requests[0][2]["Idempotency-Key"]
    assert done.returncode == 1
    assert f"--idempotency-key {key}".encode() in done.stderr.replace(b"\n", b" ")


@pytest.mark.parametrize("place", ["before", "after", "environment"])
def test_submit_says_how_to_follow_a_run_wherever_its_home_was_named(place: str, tmp_path: Path) -> None:
    (tmp_path / "contacts.csv").write_text("email\ngrace@alpha.test\n")
    given = ("--home", "my home")
    before, after = (given if place == each else () for each in ("before", "after"))
    with scripted_api(state()) as (credentials, _):
        env = environment(credentials) | ({"GROWTH_HOME": "my home"} if place == "environment" else {})
        done = growth(*before, "submit", "contacts.csv", *after, env=env, cwd=tmp_path)

    assert f"growth status {RUN_ID} --watch --home 'my home'" in done.stdout.decode()


@pytest.mark.parametrize(
    "arguments", [("submit", "contacts.csv", "--preset", "nothing"), ("account", "create", "a", "--credits", "9" * 19)]
)
def test_a_value_that_an_option_does_not_take_is_wrong_usage(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "contacts.csv").write_text("email\ngrace@alpha.test\n")

    done = growth(*arguments, env=environment(), cwd=tmp_path)

    assert done.returncode == 2
    assert f"Invalid value for '{arguments[-2]}'" in done.stderr.decode()


def test_submit_that_watches_sends_it_again_with_the_same_key_until_it_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "contacts.csv").write_text("email\ngrace@alpha.test\n")
    with scripted_api(refusal(503, "Not now."), state(), refusal(503, "Not now."), state()) as (credentials, script):
        done = growth("submit", "contacts.csv", "--watch", env=environment(credentials), cwd=tmp_path)

    sent = [headers["Idempotency-Key"] for method, _, headers in script.requests if method == "POST"]
    assert (done.returncode, len(sent), len(set(sent))) == (0, 2, 1), done.stderr


def test_ctrl_c_leaves_a_watch_with_how_to_go_on() -> None:
    with scripted_api(state("running", 45)) as (credentials, script):
        process = subprocess.Popen(
            [*COMMAND, "status", RUN_ID, "--watch"],
            env=environment(credentials),
            stderr=subprocess.PIPE,
            # Tests that run in the background ignore SIGINT, and so would the processes that they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert script.was_asked.wait(60)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=30)[1].decode()

    assert process.returncode == 130
    assert f"Follow it with: growth status {RUN_ID} --watch" in errors
    assert "Traceback" not in errors


def test_a_watched_run_that_failed_ends_with_1() -> None:
    with scripted_api(state("failed", 45)) as (credentials, _):
        done = growth("status", RUN_ID, "--watch", env=environment(credentials))

    assert done.returncode == 1


def test_a_fault_of_ours_is_reported_with_its_place_and_without_its_text() -> None:
    program = (
        "import cli.main\n"
        "def broken(*_: object) -> None: raise KeyError('grace@alpha.test')\n"
        "cli.main.wait_for_export = broken\n"
        "cli.main.main()"
    )
    with scripted_api(state()) as (credentials, _):
        done = subprocess.run(
            [sys.executable, "-c", program, "export", RUN_ID],
            env=environment(credentials), capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert done.returncode == 70
    assert re.fullmatch(
        r"This is a fault of ours \(KeyError at .*cli/main\.py:\d+.*\): please report it\.\n", done.stderr
    )


@pytest.mark.parametrize(
    ("file", "output", "sentence"),
    [
        ("list.csv", "folder", "folder is a folder"),
        ("list.csv", "missing/out.csv", "there is no folder missing"),
        ("/dev/null", "out.csv", "/dev/null is not an ordinary file"),
        ("folder", "out.csv", "folder can't be read: Is a directory"),
    ],
)
def test_a_list_that_can_not_be_read_or_written_is_reported_before_any_probe(
    tmp_path: Path, file: str, output: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("list.csv").write_text("email\ngrace@alpha.test\n")
    quiet = Console(quiet=True)

    with pytest.raises(UnableToCheck, match=re.escape(sentence)) as refused:
        verify_file(Settings(), ListJob(Path(file), Path(output)), quiet, quiet)

    assert refused.value.exit_code == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "list.csv"]
