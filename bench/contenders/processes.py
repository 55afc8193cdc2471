"""The engine's processes, for benchmarks that start them by themselves."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import psutil

from bench.contenders.engine import APP
from cli.local.processes import Engine, EngineProcess, worker_command


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


def peaks_mb(engine: Engine) -> dict[str, int]:
    """The largest resident size that any process of a kind has had, in megabytes."""
    peaks: dict[str, int] = {}
    for process in engine.processes:
        kind = process.name.partition("-")[0]
        for pid in _pids(process.popen.pid):
            peaks[kind] = max(peaks.get(kind, 0), _peak_mb(pid))
    return peaks


def _pids(parent: int) -> Iterator[int]:
    yield parent
    yield from (child.pid for child in psutil.Process(parent).children(recursive=True))


def _peak_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024
