"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

Home = Annotated[Path, typer.Option("--home", envvar="GROWTH_HOME", help="The folder of `growth up` and its data.")]
HOME = Path(".growth")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Preset = Literal["full_pipeline", "verify_existing_emails"]


class _FlagsWithoutType:
    """Shows flags without a type in --help: they take no value."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, as --help shows them."""
        found: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for each in found:
            if getattr(each, "is_flag", False):
                each.metavar = ""
        return found


class _Command(_FlagsWithoutType, TyperCommand):
    pass


class _Group(_FlagsWithoutType, TyperGroup):
    pass


def show_flags_without_type(app: typer.Typer) -> None:
    """Let the commands of an application, and of those within it, show their flags without `<bool>`."""
    app.info.cls = _Group
    for command in app.registered_commands:
        command.cls = _Command
    for group in app.registered_groups:
        group.cls = _Group
        if group.typer_instance is not None:
            show_flags_without_type(group.typer_instance)
