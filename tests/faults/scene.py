"""What a fault gets and returns: the run that it disturbs, and the record of its injection."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psutil

from tests.faults.engine import FaultEngine, WorkedChunk, wait_until


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault that was injected. `orphans` are the chunks that the hit processes were working.

    `since` is when recovery could begin: at once after a kill; when the server was back after an outage. Recovery times
    count from there.
    """

    fault: str
    injected_at: datetime
    since: datetime
    orphans: tuple[WorkedChunk, ...] = ()
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """The engine, the run that the fault disturbs, and how long an outage lasts in seconds."""

    engine: FaultEngine
    run_id: UUID
    outage_seconds: float


Fault = Callable[[Scene], Injection]


class RunOver(Exception):
    """Raised by a fault that was not injected, since the run had ended."""


def injection_of(
    scene: Scene,
    fault: Fault,
    orphans: Iterable[WorkedChunk] = (),
    injected_at: datetime | None = None,
    *,
    frozen: bool = False,
) -> Injection:
    """The record of an injection that is complete now."""
    since = scene.engine.now()
    return Injection(fault.__name__, injected_at or since, since, tuple(orphans), frozen)


def worked_chunk(scene: Scene, worker_name: str = "") -> WorkedChunk:
    """A chunk that a live process is working: of this worker, or of any.

    Raises `RunOver`, and `TimeoutError` if there is none for too long.
    """
    found: list[WorkedChunk] = []

    def look() -> bool:
        found[:] = [
            chunk
            for chunk in scene.engine.worked_chunks(scene.run_id)
            if psutil.pid_exists(chunk.pid) and chunk.worker_name.startswith(worker_name)
        ]
        if not found and scene.engine.is_over(scene.run_id):
            raise RunOver
        return bool(found)

    wait_until(look, "a chunk that is being worked", seconds=30)
    return found[0]


def chunks_of(scene: Scene, worker_name: str, at: datetime | None = None) -> list[WorkedChunk]:
    """The chunks that a worker is working, or was working `at` an earlier moment."""
    return [chunk for chunk in scene.engine.worked_chunks(scene.run_id, at) if chunk.worker_name == worker_name]
