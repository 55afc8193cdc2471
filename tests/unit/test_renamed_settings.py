"""An old name of a setting is refused, and never ignored."""

import os
import subprocess
import sys

import pytest

from settings import Settings, UnusableSettings, read_settings
from settings.renamed import RENAMED


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_refused_with_the_new_one(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(old, "7")
    monkeypatch.delenv(new, raising=False)

    with pytest.raises(UnusableSettings, match=f"^Setting {old} is now called {new}: rename it"):
        read_settings()


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_the_new_name_is_a_setting_and_the_old_one_is_none(old: str, new: str) -> None:
    assert new.lower() in Settings.model_fields
    assert old.lower() not in Settings.model_fields


def test_an_environment_for_both_versions_is_read_by_its_new_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for old, new in RENAMED.items():
        monkeypatch.setenv(old, "not a number")
        monkeypatch.setenv(new, "2")

    assert read_settings().max_tasks_per_run == 2


def test_an_old_name_without_a_value_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for old in RENAMED:
        monkeypatch.setenv(old, "")

    assert read_settings().max_tasks_per_run == 8


def test_all_old_names_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for old in RENAMED:
        monkeypatch.setenv(old.lower(), "7")

    with pytest.raises(UnusableSettings) as raised:
        read_settings()

    assert str(raised.value).count("is now called") == len(RENAMED)


def test_a_command_ends_with_the_sentence() -> None:
    old, new = next(iter(RENAMED.items()))
    command = [sys.executable, "-c", "from cli.main import main; main()", "doctor"]

    done = subprocess.run(command, env={**os.environ, old: "7"}, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith(f"Setting {old} is now called {new}: rename it")
