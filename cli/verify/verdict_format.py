"""How verdicts can be printed or written."""

from enum import Enum, StrEnum, auto


class Shown(Enum):
    """How checked addresses can be printed."""

    STEPS = auto()
    JSON = auto()
    REACHER = auto()


class VerdictFormat(StrEnum):
    """How a list with verdicts can be written."""

    CSV = "csv"
    """The list itself, with further columns."""
    JSONL = "jsonl"
    """A JSON object for each row."""
    REACHER = "reacher"
    """The same in the shape of Reacher's answers."""
