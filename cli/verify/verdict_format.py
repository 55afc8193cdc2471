"""Formats of verdicts."""

from enum import Enum, StrEnum, auto


class Shown(Enum):
    """How verdicts are printed."""

    STEPS = auto()
    JSON = auto()
    REACHER = auto()


class VerdictFormat(StrEnum):
    """How a list with verdicts is written."""

    CSV = "csv"
    """The list with further columns."""
    JSONL = "jsonl"
    """A JSON object for each row."""
    REACHER = "reacher"
    """The same in Reacher's format."""
