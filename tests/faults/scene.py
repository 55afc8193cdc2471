"""What a fault works with: where it strikes, whom it can hit, and how it reports what it did."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psutil

from tests.faults.engine import ChunkInHand, FaultEngine, wait_until


@dataclass(frozen=True, slots=True)
class Blow:
    """One fault that struck. `orphans` are the chunks in hand of those it hit.

    `since` is when the engine could go on again: for who was killed, at once; for a server that was away, when
    it was back. What follows is counted from there.
    """

    fault: str
    struck_at: datetime
    since: datetime
    orphans: tuple[ChunkInHand, ...] = ()
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault has to know: the engine, the run it disturbs, and how long an outage lasts (seconds)."""

    engine: FaultEngine
    run_id: UUID
    outage_seconds: float


Fault = Callable[[Scene], Blow]


class RunOver(Exception):
    """Raised by a fault that found nobody at work any more: it did not strike."""


def blow_of(
    scene: Scene,
    fault: Fault,
    orphans: Iterable[ChunkInHand] = (),
    struck_at: datetime | None = None,
    *,
    frozen: bool = False,
) -> Blow:
    """A blow whose damage is done, or undone, just now."""
    since = scene.engine.now()
    return Blow(fault.__name__, struck_at or since, since, tuple(orphans), frozen)


def chunk_in_hand(scene: Scene, worker_name: str = "") -> ChunkInHand:
    """One that is worked right now by a process that lives, of this worker or of any.

    Raises `RunOver`, and `TimeoutError` when the run goes on without one.
    """
    found: list[ChunkInHand] = []

    def look() -> bool:
        found[:] = [
            chunk
            for chunk in scene.engine.chunks_in_hand(scene.run_id)
            if psutil.pid_exists(chunk.pid) and chunk.worker_name.startswith(worker_name)
        ]
        if not found and scene.engine.is_over(scene.run_id):
            raise RunOver
        return bool(found)

    wait_until(look, "a chunk in hand", seconds=30)
    return found[0]


def chunks_of(scene: Scene, worker_name: str, at: datetime | None = None) -> list[ChunkInHand]:
    """What a worker has in hand; or had, if it was struck `at` a moment before."""
    return [chunk for chunk in scene.engine.chunks_in_hand(scene.run_id, at) if chunk.worker_name == worker_name]
