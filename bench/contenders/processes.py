"""The engine's processes, for benchmarks that start them by themselves."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from bench.contenders.engine import APP
from cli.local.processes import Engine, EngineProcess, worker_command

READING = "anyio.to_process"
"""The module that a process runs which reads uploads and large bodies for the API."""


def instant_worker(number: int) -> Sequence[str]:
    """The arguments that start a worker of one process, with stages that contact no server."""
    return [APP if word == "worker.app" else word for word in worker_command(f"worker-{number}", 1)]


def is_ready(worker: EngineProcess) -> bool:
    """Whether a worker takes tasks yet."""
    return " ready." in worker.log_path.read_text()


def answers(url: str, headers: Mapping[str, str] | None = None) -> bool:
    """Whether an application answers yet."""
    try:
        return httpx.get(url, headers=headers, trust_env=False, timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


class Peaks:
    """The largest resident size that any process of a kind has had, in megabytes, at the last `look`.

    Of a process that has ended since, it knows what it had when it was looked at.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.megabytes: dict[str, int] = {}
        self.look()

    def look(self) -> None:
        """Look at all processes."""
        for kind, megabytes in peaks_mb(self._engine).items():
            self.megabytes[kind] = max(self.megabytes.get(kind, 0), megabytes)


def peaks_mb(engine: Engine) -> dict[str, int]:
    """The largest resident size that any process of a kind has had, in megabytes.

    What the API has uploads and large bodies read by counts as a kind of its own.
    """
    peaks: dict[str, int] = {}
    for process in engine.processes:
        kind = process.name.partition("-")[0]
        for pid, command in _family(process.popen.pid):
            name = "reading" if READING in command else kind
            peaks[name] = max(peaks.get(name, 0), peak_of(pid))
    return peaks


def _family(parent: int) -> Iterator[tuple[int, Sequence[str]]]:
    process = psutil.Process(parent)
    for each in (process, *process.children(recursive=True)):
        # One that ends just now has nothing to be read.
        with suppress(psutil.NoSuchProcess):
            yield each.pid, each.cmdline()


def peak_of(pid: int) -> int:
    """The largest resident size that a process has had, in megabytes; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1]) // 1024
