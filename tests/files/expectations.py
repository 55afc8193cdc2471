"""Reads what must come out of a file: NAME.expected.toml beside it. README.md describes it."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

FOLDER = Path(__file__).parent
ENDING = ".expected.toml"
NOT_DATA = {"__pycache__"}

Cells = dict[str, str]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a person expects of a file: a table, or the sentence of a refusal."""

    about: str
    command: str = "submit"
    preset: str = "full_pipeline"
    encoding: str | None = None
    map: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] | None = None
    notices: Sequence[str] = ()
    refused: str = ""
    table: str = ""
    rejected: str = ""
    repeated: Sequence[Sequence[int]] = ()

    @classmethod
    def of(cls, place: Path) -> Self:
        """Read an expectation. Raises `TypeError` for a key that there is not."""
        values: dict[str, Any] = tomllib.loads(place.read_text("utf-8"))
        return cls(**values)


def stem_of(path: Path) -> str:
    """A file's name up to its first full stop, by which its expectation is called."""
    return path.name.partition(".")[0]


def files() -> list[Path]:
    """All files of this folder's folders that are to be read."""
    found = (path for path in FOLDER.glob("*/*") if path.is_file() and path.parent.name not in NOT_DATA)
    return sorted(path for path in found if not path.name.endswith(ENDING))


def expectation_of(path: Path) -> Path:
    return path.with_name(stem_of(path) + ENDING)


def cells_of(table: str) -> list[Cells]:
    r"""The rows of a table that is drawn with bars; `\n` and `\r` in a cell are line ends."""
    if not table:
        return []
    header, *rows = (_cells(line) for line in table.strip("\n").split("\n"))
    return [dict(zip(header, [*row, *[""] * len(header)], strict=False)) for row in rows]


def _cells(line: str) -> list[str]:
    return [cell.strip(" ").replace(r"\n", "\n").replace(r"\r", "\r") for cell in line.split("|")]
