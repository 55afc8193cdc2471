"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[Path, typer.Option("--home", envvar="GROWTH_HOME", help="The folder of `growth up` and its data.")]
HOME = Path(".growth")
