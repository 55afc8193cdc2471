"""Commands answer programs in JSON, and shells complete them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.main import app
from tests.unit.cli.scripted_api import RUN_ID, Answer, scripted_api, state

NO_ANSWER = {
    "up", "demo", "completion", "migrate", "runs export", "account suspend", "account resume", "account keys revoke",
    "account operator", "hooks remove",
}  # fmt: skip
"""Commands whose exit code says all."""
CSV = {"suppressions list"}


def commands(group: Any, *before: str) -> Iterator[tuple[str, set[str]]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *before, name)
        else:
            yield " ".join((*before, name)), {option for parameter in command.params for option in parameter.opts}


def test_each_command_that_answers_something_answers_in_json() -> None:
    without = {name for name, options in commands(typer.main.get_command(app)) if "--json" not in options}

    assert without == NO_ANSWER | CSV


def answered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: Sequence[object], *answers: Answer
) -> tuple[Any, str]:
    """The JSON on stdout, which has nothing else, and what is on stderr."""
    with scripted_api(*answers) as (credentials, _):
        monkeypatch.setenv("GROWTH_API_URL", credentials.api_url)
        monkeypatch.setenv("GROWTH_API_KEY", credentials.api_key)
        assert not app([str(each) for each in arguments], standalone_mode=False)
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GROWTH_HOME", str(tmp_path / "home"))
    path = tmp_path / "people.csv"
    path.write_text("full_name,domain\nAda Example,a.test\nBo,\nCy Example,c.test\n")
    return path


QUEUED = Answer(202, json.dumps({"status": "running", "run_id": RUN_ID, "preview": {}}).encode())


def test_a_program_that_submits_a_file_gets_the_runs_id(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    queued, notes = answered(monkeypatch, capsys, ["submit", file, "--json"], QUEUED)

    assert queued == {"run_id": RUN_ID, "contacts": 2}
    assert "1 row is not usable" in notes


def test_a_program_that_watches_what_it_submitted_gets_the_last_state(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    last, notes = answered(monkeypatch, capsys, ["submit", file, "--watch", "--json"], QUEUED, state())

    assert (last["run_id"], last["status"]) == (RUN_ID, "completed")
    assert "2 contacts queued" in notes


def test_a_dry_run_tells_a_program_how_the_file_is_read(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, _ = answered(monkeypatch, capsys, ["submit", file, "--dry-run", "--json"], QUEUED)

    assert shown["columns"] == {"full_name": "full_name", "domain": "domain"}
    assert (shown["rows"], shown["contacts"], shown["rejected"]) == (3, 2, 1)
    assert [each["field"] for each in shown["reasons"]] == ["domain"]


def test_a_program_learns_which_entries_are_suppressed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = Answer(body=json.dumps({"suppressed": [True, True]}).encode())

    shown, _ = answered(monkeypatch, capsys, ["suppressions", "check", "a.test", "b.test", "--json"], answer)

    assert shown == {"a.test": True, "b.test": True}


def test_a_program_and_a_person_learn_the_balance(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = Answer(body=json.dumps({"balance": 9_600, "held": 400, "statement": [], "next": None}).encode())

    shown, _ = answered(monkeypatch, capsys, ["credits", "--json"], answer)
    assert shown == {"balance": 9_600, "held": 400}

    with scripted_api(answer) as (credentials, _script):
        monkeypatch.setenv("GROWTH_API_URL", credentials.api_url)
        app(["credits"], standalone_mode=False)
    assert capsys.readouterr().out == "9600 credits to spend; runs that are not over hold 400.\n"


def test_an_export_to_stdout_leaves_no_room_for_json() -> None:
    with pytest.raises(typer.BadParameter, match="give --output a file"):
        app(["export", RUN_ID, "--output", "-", "--json"], standalone_mode=False)


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    growth = tmp_path / "growth"
    growth.write_text(f"#!{sys.executable}\nfrom cli.main import main\nmain()\n")
    growth.chmod(0o755)
    script = 'eval "$(growth completion bash)"; COMP_WORDS=(growth runs ti) COMP_CWORD=2; _growth_completion growth'
    places = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parents[3])}

    shown = subprocess.run(
        ["bash", "-c", f'{script}; echo "${{COMPREPLY[@]}}"'], env={**os.environ, **places}, capture_output=True,
        text=True, timeout=60, check=True,
    )  # fmt: skip

    assert shown.stdout.split() == ["timeline"]


@pytest.mark.parametrize(("shell", "word"), [("zsh", "compdef"), ("fish", "complete --command growth")])
def test_other_shells_have_a_script(shell: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    app(["completion", shell], standalone_mode=False)

    assert word in capsys.readouterr().out
