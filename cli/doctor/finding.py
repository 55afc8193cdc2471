"""One thing that `growth doctor` looked at."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, whether it is fine, and what there is to say or to do."""

    what: str
    is_fine: bool
    says: str


def fine(what: str, says: str) -> Finding:
    """All is well."""
    return Finding(what, is_fine=True, says=says)


def wrong(what: str, says: str) -> Finding:
    """Something is to be done: `says` tells what."""
    return Finding(what, is_fine=False, says=says)
