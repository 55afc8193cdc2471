"""How commands end: with an exit code and, unless it is 0, a sentence on stderr; never with a traceback."""

import signal
import sys
import traceback
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from types import FrameType
from typing import NoReturn

from cli.terminal import flush_stdout, prepare_streams, say_error
from pipeline.errors import UnusableFile

FAULT = 70
"""EX_SOFTWARE of sysexits.h: commands use it for nothing but faults of ours."""


class ExitCode(IntEnum):
    """Exit codes of `growth verify`. Of several addresses the worst verdict counts: invalid, unknown, risky, valid."""

    VALID = 0
    INVALID = 1
    USAGE = 2
    RISKY = 3
    UNKNOWN = 4
    UNABLE = 5
    """Nothing can be checked from here: no resolver, or the file can't be used."""
    INTERRUPTED = 130


class CommandFailed(Exception):
    """Raised when a command fails as expected. Its text is a sentence that says why, and what to do.

    CommandFailed
    ├── ApiError: the API refuses
    │   └── ApiAway: it does not answer, or is unavailable
    ├── Unwritable: a file can't be written; `UnusableFile` of the pipeline says that one can't be read
    ├── HomeUnusable, PortTaken, EmbeddedServersMissing, EmbeddedServerFailed, ProcessEnded: `growth up` can't run
    ├── UnableToCheck: nothing can be verified from here
    └── Interrupted: Ctrl-C
    """

    exit_code = 1


class UnableToCheck(CommandFailed):
    """Raised when nothing can be checked from this machine. Its text says what to do."""

    exit_code = ExitCode.UNABLE


class Interrupted(CommandFailed):
    """Raised when Ctrl-C ended a command. Its text says how to continue."""

    exit_code = ExitCode.INTERRUPTED


def run_to_its_end(command: Callable[[], object]) -> NoReturn:
    """Run a command and exit the process with its code."""
    prepare_streams()
    # After a SIGTERM, or when the terminal is closed, no server and no worker that we started may be left running.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _exit)
    sys.exit(flush_stdout(_exit_code_of(command)))


def _exit_code_of(command: Callable[[], object]) -> int:
    try:
        command()
    except SystemExit as ending:
        return _code_and_sentence(ending)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except CommandFailed as error:
        say_error(error)
        return error.exit_code
    except UnusableFile as error:
        say_error(error)
        return 1
    except OSError as error:
        what = f"{error.filename} can't be used" if error.filename else "The output can't be written"
        say_error(f"{what}: {error.strerror or type(error).__name__}.")
        return 1
    except Exception as error:  # noqa: BLE001 - the last resort: a message may hold a person's address, a place does not
        say_error(f"This is a fault of ours ({type(error).__name__} at {_place_of(error)}): please report it.")
        return FAULT
    return 0


def _code_and_sentence(ending: SystemExit) -> int:
    """Return the code; an invalid setting exits with a sentence instead of a number."""
    if isinstance(ending.code, str):
        say_error(ending.code)
        return 1
    return ending.code or 0


def _place_of(error: Exception) -> str:
    ours = Path(__file__).parent.parent
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    known = [each for each in frames if each[0].is_relative_to(ours) and "site-packages" not in each[0].parts]
    return ", ".join(f"{path.relative_to(ours)}:{line}" for path, line in known[-3:])


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
