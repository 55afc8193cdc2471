"""The result of one check of `growth doctor`."""

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """How a check ended, as it is printed."""

    OK = "ok"
    WARNING = "!!"
    WRONG = "no"
    NOT_TRIED = "--"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was checked, how the check ended, and what to do."""

    what: str
    mark: Mark
    sentence: str

    @property
    def is_fine(self) -> bool:
        """Whether the check succeeded."""
        return self.mark is Mark.OK


def fine(what: str, sentence: str) -> Finding:
    """The check succeeded."""
    return Finding(what, Mark.OK, sentence)


def warned(what: str, sentence: str) -> Finding:
    """The check succeeded, and still there is something to know or to do."""
    return Finding(what, Mark.WARNING, sentence)


def wrong(what: str, sentence: str) -> Finding:
    """The check failed: `sentence` says what to do."""
    return Finding(what, Mark.WRONG, sentence)


def not_tried(what: str, sentence: str) -> Finding:
    """Nothing was checked: `sentence` says what to set or to give."""
    return Finding(what, Mark.NOT_TRIED, f"not tried: {sentence}")
