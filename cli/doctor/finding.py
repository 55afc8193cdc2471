"""The result of one check of `growth doctor`."""

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """How a check ended, as it is printed."""

    OK = "ok"
    WRONG = "no"
    NOT_TRIED = "--"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was checked, how the check ended, and what to do."""

    what: str
    mark: Mark
    says: str

    @property
    def is_fine(self) -> bool:
        """Whether the check succeeded."""
        return self.mark is Mark.OK


def fine(what: str, says: str) -> Finding:
    """The check succeeded."""
    return Finding(what, Mark.OK, says)


def wrong(what: str, says: str) -> Finding:
    """The check failed: `says` tells what to do."""
    return Finding(what, Mark.WRONG, says)


def not_tried(what: str, says: str) -> Finding:
    """Nothing was checked: `says` tells what to set or to give."""
    return Finding(what, Mark.NOT_TRIED, f"not tried: {says}")
