"""How `growth verify` ends, for the shell; and the failure that has an exit code of its own."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How `growth verify` ends: of several addresses the worst verdict counts, invalid before unknown before risky."""

    VALID = 0
    INVALID = 1
    USAGE = 2
    RISKY = 3
    UNKNOWN = 4
    UNABLE = 5
    """Nothing can be checked from here: no resolver, or the file can't be used."""
    INTERRUPTED = 130


class UnableToCheck(Exception):
    """Raised when nothing can be checked from here; its text is a sentence that says what to do."""
