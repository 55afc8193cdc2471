"""What --help and wrong usage show."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cli.main import app


def commands(group: Any, *before: str) -> Iterator[tuple[str, ...]]:
    yield before
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *before, name)
        else:
            yield (*before, name)


@pytest.mark.parametrize("command", list(commands(typer.main.get_command(app))), ids=" ".join)
def test_a_flag_is_shown_without_a_type(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "120"})

    assert "--help" in shown.output
    assert "bool" not in shown.output


def test_a_time_that_is_none_is_answered_with_one_that_is() -> None:
    shown = CliRunner().invoke(app, ["runs", "list", "--since", "yesterday"], env={"COLUMNS": "200"})

    assert shown.exit_code == 2
    assert "give a day or a time, such as 2026-11-30" in shown.output
