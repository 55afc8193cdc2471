"""Starts, watches and stops the engine's processes."""

import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cli.exit_codes import CommandFailed
from worker.child import child_command

STOP_SECONDS = 15
POLL_SECONDS = 0.05
FLOWER_COLUMNS = "name,args,state,received,runtime,worker"
"""The arguments among them: they hold the run's id."""

log = logging.getLogger(__name__)


class ProcessEnded(CommandFailed):
    """Raised when a process ended that should be running. Its text names the log to read."""


@dataclass(slots=True)
class EngineProcess:
    """A running process of the engine, and the file of its output."""

    name: str
    popen: "subprocess.Popen[bytes]"
    log_path: Path

    def check(self) -> None:
        """Raise `ProcessEnded` if the process has ended."""
        if (code := self.popen.poll()) is not None:
            raise ProcessEnded(
                f"The {self.name} process ended with code {code}: see {self.log_path}.\n{self._last_line()}"
            )

    def ask_to_stop(self) -> None:
        self.popen.terminate()

    def wait_until_stopped(self) -> None:
        """Wait until it has ended; kill it if it ignores the SIGTERM."""
        try:
            self.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("%s did not stop within %s s and was killed", self.name, STOP_SECONDS)
            self.popen.kill()
            self.popen.wait()

    def _last_line(self) -> str:
        lines = self.log_path.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


@dataclass(slots=True)
class Engine:
    """The processes of `growth up` and `growth demo`."""

    environment: Mapping[str, str]
    log_dir: Path
    processes: list[EngineProcess] = field(default_factory=list)

    def start(self, name: str, *arguments: str) -> EngineProcess:
        """Start `python -m ARGUMENTS` with the engine's environment."""
        self.log_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        log_path = self.log_dir / f"{name}.log"
        with log_path.open("wb") as output:
            popen = subprocess.Popen(  # noqa: S603 - our own modules, no shell
                child_command(arguments),
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is ours to handle: it must not reach the workers' pool processes.
                start_new_session=True,
                # Exports and logs hold personal data.
                umask=0o077,
            )
        process = EngineProcess(name, popen, log_path)
        self.processes.append(process)
        return process

    def check(self) -> None:
        """Raise `ProcessEnded` if one of the processes has ended."""
        for process in self.processes:
            process.check()

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
        """Wait for a condition while all processes run. Raises `ProcessEnded`, `TimeoutError`."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} was not ready after {seconds:.0f} s: see {self.log_dir}.")
            time.sleep(POLL_SECONDS)


@contextmanager
def running_engine(environment: Mapping[str, str], log_dir: Path) -> Iterator[Engine]:
    """Yield an engine whose processes are stopped when the block ends."""
    engine = Engine(environment, log_dir)
    with ExitStack() as stack:
        stack.callback(_stop_all, engine.processes)
        yield engine


def api_command(port: int) -> Sequence[str]:
    """The arguments that start the API."""
    return (
        "uvicorn", "--factory", "web.app:create_app", "--host", "127.0.0.1", "--port", str(port), "--no-access-log",
        "--timeout-graceful-shutdown", "5",
    )  # fmt: skip


def worker_command(name: str, processes: int) -> Sequence[str]:
    """The arguments that start a worker of so many processes."""
    return ("worker", "--app", "worker.app", "--hostname", f"{name}@%h", "--processes", str(processes))


def sweeper_command() -> Sequence[str]:
    """The arguments that start the sweeper."""
    return ("worker.sweeper",)


def flower_command(port: int) -> Sequence[str]:
    """The arguments that start Flower, for users of this machine only."""
    columns = f"--tasks_columns={FLOWER_COLUMNS}"
    return ("celery", "-A", "worker.app", "flower", "--address=127.0.0.1", f"--port={port}", columns)


def _stop_all(processes: list[EngineProcess]) -> None:
    for process in processes:
        process.ask_to_stop()
    for process in processes:
        process.wait_until_stopped()
