"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Home = Annotated[Path, typer.Option("--home", envvar="GROWTH_HOME", help="The folder of `growth up` and its data.")]
HOME = Path(".growth")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Preset = Literal["full_pipeline", "verify_existing_emails"]
