"""The engine's own processes, which can be killed, stopped and restarted separately."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[3]


@dataclass(slots=True)
class Fleet:
    """Named processes. A fault's signal reaches their children, too.

    It restarts nothing by itself: each fault restarts its process, as a supervisor would in production.
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
        """Set environment variables of one process, from its next start on."""
        self._own_environments[name] = {**self._own_environments.get(name, {}), **environment}

    def restart(self, name: str) -> None:
        """Start a process that was killed, with its old command."""
        self.start(name, self._commands[name])

    def kill(self, name: str) -> datetime:
        """`kill -9` a process and its children. It has ended when this returns. Gives the time of the signal."""
        process = self._running.pop(name)
        self._signal(process.pid, signal.SIGKILL)
        injected_at = datetime.now(UTC)
        process.wait()
        return injected_at

    def stop(self, name: str, seconds: float) -> None:
        """Send SIGTERM to a process alone, as a supervisor does. It has ended by itself when this returns.

        Raises `subprocess.TimeoutExpired` if it did not end; then it is killed.
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
        """Send SIGSTOP to a process and its children. Gives the time of the signal."""
        self._signal(self._running[name].pid, signal.SIGSTOP)
        return datetime.now(UTC)

    def thaw(self, name: str) -> None:
        """Send SIGCONT to a process and its children."""
        self._signal(self._running[name].pid, signal.SIGCONT)

    @staticmethod
    def _signal(pid: int, number: signal.Signals) -> None:
        """Signal a process and its children. One that ended by itself is reported by `dead`."""
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid)
            for each in (*parent.children(recursive=True), parent):
                with suppress(psutil.NoSuchProcess):
                    each.send_signal(number)

    def dead(self) -> list[str]:
        """The processes that ended without being killed by a fault."""
        return [name for name, process in self._running.items() if process.poll() is not None]

    def log_path(self, name: str) -> Path:
        """The file of a process's output."""
        return self.log_dir / f"{name}.log"

    def end(self) -> None:
        """Kill all processes, including stopped ones, which would not react to SIGTERM."""
        for name in list(self._running):
            self.kill(name)


@contextmanager
def running_fleet(environment: Mapping[str, str], log_dir: Path) -> Iterator[Fleet]:
    """A fleet whose processes are all killed when the block ends."""
    log_dir.mkdir(parents=True, exist_ok=True)
    fleet = Fleet(environment, log_dir)
    try:
        yield fleet
    finally:
        fleet.end()
