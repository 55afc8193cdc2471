"""The engine's own processes, each separately killable, stoppable and restartable."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass(slots=True)
class Fleet:
    """Named processes, each leader of a process group of its own: a signal to the group reaches its children too.

    It restarts nothing by itself: a fault says when its victim comes back, as a supervisor in production would.
    """

    environment: Mapping[str, str]
    log_dir: Path
    _own_environments: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _commands: dict[str, Sequence[str]] = field(default_factory=dict)
    _running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start `python -m COMMAND`; its output is appended to `NAME.log`."""
        self._commands[name] = command
        with self.log_path(name).open("ab") as output:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env={**os.environ, **self.environment, **self._own_environments.get(name, {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def set_apart(self, name: str, environment: Mapping[str, str]) -> None:
        """Give a process settings of its own, from its next start on."""
        self._own_environments[name] = {**self._own_environments.get(name, {}), **environment}

    def restart(self, name: str) -> None:
        """Start a process that was killed, with its old command."""
        self.start(name, self._commands[name])

    def kill(self, name: str) -> datetime:
        """`kill -9` to a process and its children; it is gone when this returns. When it was struck, by our clock."""
        process = self._running.pop(name)
        # Whoever ended by itself, children included, has no group any more: `dead` tells of it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        struck_at = datetime.now(UTC)
        process.wait()
        return struck_at

    def stop(self, name: str, seconds: float) -> None:
        """SIGTERM to a process alone, as a supervisor does; it has ended by itself when this returns.

        Raises `subprocess.TimeoutExpired` when it did not; it is killed then.
        """
        process = self._running[name]
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill(name)
            raise
        del self._running[name]

    def freeze(self, name: str) -> datetime:
        """SIGSTOP to a process and its children. When it was struck, by our clock."""
        os.killpg(self._running[name].pid, signal.SIGSTOP)
        return datetime.now(UTC)

    def thaw(self, name: str) -> None:
        """SIGCONT to a process and its children."""
        os.killpg(self._running[name].pid, signal.SIGCONT)

    def dead(self) -> list[str]:
        """Who ended without having been killed by us."""
        return [name for name, process in self._running.items() if process.poll() is not None]

    def log_path(self, name: str) -> Path:
        """Where a process's output goes."""
        return self.log_dir / f"{name}.log"

    def end(self) -> None:
        """Kill all: also one that is stopped, and would not take a SIGTERM."""
        for name in list(self._running):
            self.kill(name)


@contextmanager
def running_fleet(environment: Mapping[str, str], log_dir: Path) -> Iterator[Fleet]:
    """A fleet of which nothing is left when the block ends."""
    log_dir.mkdir(parents=True, exist_ok=True)
    fleet = Fleet(environment, log_dir)
    try:
        yield fleet
    finally:
        fleet.end()
