"""The home of `growth up`: a private folder that one engine at a time uses."""

import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cli.client import ApiError, read_credentials
from cli.exit_codes import CommandFailed
from settings import Settings

LOCK_FILE = ".lock"
ODD = re.compile(r"[^\w./@%+=:,~-]")
"""Characters that a shell may interpret: PostgreSQL's starter passes its options through one."""
SANDBOX_SETTINGS = {"DNS_RESOLVERS", "SMTP_ALLOW_PRIVATE"}
"""What `growth up --sandbox` sets for its engine."""
LOCK_ATTEMPTS = 20
"""A command that checks whether a home is in use holds its lock for a moment: twenty attempts, 0.1 s apart."""


class HomeUnusable(CommandFailed):
    """Raised when a home can't be used, or is in use. Its text says what to do."""


@contextmanager
def locked_home(path: Path) -> Iterator[Path]:
    """Make a home private, and lock it for the block. Raises `HomeUnusable`.

    The kernel releases the lock when this process ends, however it ends.
    """
    home = _private(path)
    with (home / LOCK_FILE).open("w") as lock:
        _lock(lock.fileno(), home)
        yield home


def settings_of_running_engine(home: Path) -> Mapping[str, str]:
    """Return the settings of the `growth up` that runs in a home, empty if none runs. Raises `ApiError`."""
    saved = read_credentials(home) if is_in_use(home) else None
    return saved.settings if saved else {}


def is_in_use(home: Path) -> bool:
    """Whether a `growth up` runs in this home."""
    try:
        with (home / LOCK_FILE).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def adopt_settings(home: Path) -> str:
    """Take over the settings of the engine in this home: its database, its name servers, its mail servers' port.

    What is set in the environment itself stays. Returns a sentence for the user when that makes this command ask the
    sandbox instead of the internet, otherwise an empty string. Raises `ApiError`.
    """
    adopted = {name: value for name, value in settings_of_running_engine(home).items() if name not in os.environ}
    os.environ.update(adopted)
    if not adopted.keys() >= SANDBOX_SETTINGS:
        return ""
    return f"This asks the sandbox of the `growth up` that runs in {home}, not the internet."


def settings_to_keep(environment: Mapping[str, str]) -> dict[str, str]:
    """Select the variables that are settings. Paths become absolute, since other commands start elsewhere."""
    names = {name: field for name, field in Settings.model_fields.items() if environment.get(name.upper())}
    return {
        name.upper(): str(Path(environment[name.upper()]).resolve())
        if field.annotation in (Path, Path | None)
        else environment[name.upper()]
        for name, field in names.items()
    }


def private_folder(path: Path) -> Path:
    """Create a folder that only its owner can read."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def _private(path: Path) -> Path:
    home = path.resolve()
    if ODD.search(str(home)):
        raise HomeUnusable(f"PostgreSQL can't be started in {home}: give --home a path without spaces and quotes.")
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = home.stat()
        if found.st_mode & stat.S_ISVTX or home in (Path("/"), _own_home()):
            raise HomeUnusable(
                f"{home} holds other things, too: give --home a folder of its own, such as {home}/growth."
            )
        if stat.S_IMODE(found.st_mode) != 0o700:
            home.chmod(0o700)
    except (FileExistsError, NotADirectoryError) as error:
        raise HomeUnusable(f"{home} is not a folder: give --home another one.") from error
    except OSError as error:
        raise HomeUnusable(
            f"The home {home} can't be used ({error.strerror}): give --home a folder that is yours and can be written."
        ) from error
    return home


def _own_home() -> Path | None:
    try:
        return Path.home().resolve()
    except RuntimeError:
        return None


def _lock(descriptor: int, home: Path) -> None:
    for _ in range(LOCK_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1)
        else:
            return
    raise HomeUnusable(f"{_who_is_there(home)} Use it, stop it with Ctrl-C, or give --home another folder.")


def _who_is_there(home: Path) -> str:
    try:
        saved = read_credentials(home)
    except ApiError:
        saved = None
    return f"An engine runs in {home} already{f', with its API at {saved.api_url}' if saved else ''}."
