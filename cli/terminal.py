"""Writes sentences and JSON to the terminal, whatever the streams and the locale are."""

import io
import json
import os
import sys
import unicodedata
from typing import Any, NoReturn

from rich.console import Console

PIPE_CLOSED = 128 + 13
"""The exit code of a program that SIGPIPE ended."""


class _Terminal(Console):
    """A console that ends quietly when its reader has closed the pipe."""

    def on_broken_pipe(self) -> NoReturn:
        leave_closed_pipe()


def printable(text: str) -> str:
    """Text from elsewhere that only shows something: a terminal does what escape sequences say."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(char: str) -> str:
    # `prepare_streams` escapes halves of surrogate pairs.
    is_harmless = char.isprintable() or char in "\n\t" or unicodedata.category(char) in ("Zs", "Cs")
    return char if is_harmless else "\N{REPLACEMENT CHARACTER}"


console = _Terminal()
errors = _Terminal(stderr=True)


def say(text: str, *, style: str | None = None, to: Console = console) -> None:
    """Print a sentence without markup: it may contain names of files and domains, and what a server says."""
    to.print(printable(text), style=style, soft_wrap=True, highlight=False, markup=False)


def say_error(text: object) -> None:
    """Print an error on stderr."""
    say(str(text), style="red", to=errors)


def write_json(value: object, *, indent: int | None = 2) -> None:
    """Write a JSON value and a new line. If stdout is not UTF-8, characters are escaped."""
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(value, indent=indent, ensure_ascii=not is_utf8) + "\n")


def write_text(text: str) -> None:
    """Write lines as they are, whatever the width of the terminal."""
    sys.stdout.write(f"{text}\n")


def prepare_streams() -> None:
    """Survive closed streams, and characters that the locale lacks."""
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - open until the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush_stdout(exit_code: int) -> int:
    """Flush stdout. Returns the exit code, or another one if flushing fails."""
    if not isinstance(sys.stdout, io.TextIOBase):
        return PIPE_CLOSED  # Typer replaces it when a pipe is closed.
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        leave_closed_pipe()
    except OSError as error:
        _write_nowhere()
        say_error(f"The output can't be written: {error.strerror}.")
        return exit_code or 1
    return exit_code


def leave_closed_pipe() -> NoReturn:
    """Exit quietly: the reader of the output has closed the pipe."""
    _write_nowhere()
    raise SystemExit(PIPE_CLOSED)


def _write_nowhere() -> None:
    # Otherwise Python would try again at exit, and print a traceback.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
