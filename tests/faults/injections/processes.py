"""Processes of the engine are killed, stopped or frozen.

The chunks of a killed process are read after the injection, which may take a while on a busy machine. So their leases
are judged by the moment of the injection: Postgres runs on this machine and has the same clock.
"""

import os
import signal
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.faults.engine import WORKERS, WorkedChunk
from tests.faults.scene import Injection, Scene, chunks_of, injection_of, worked_chunk

FROZEN_SECONDS = 10
"""How long a worker is stopped: longer than its lease of 8 s."""
STOP_SECONDS = 30


def kill_worker_process(scene: Scene) -> Injection:
    """`kill -9` of a worker process that works chunks. Its parent replaces it."""
    return injection_of(scene, kill_worker_process, _kill_a_chunk_task(scene))


def kill_worker(scene: Scene) -> Injection:
    """`kill -9` of a whole worker with its children. Its supervisor starts it again at once."""
    name = worked_chunk(scene).worker_name
    killed_at = scene.engine.fleet.kill(name)
    injection = injection_of(scene, kill_worker, chunks_of(scene, name, killed_at))
    scene.engine.fleet.restart(name)
    return injection


def kill_all_workers(scene: Scene) -> Injection:
    """`kill -9` of all workers, started again after an outage."""
    killed_at = {name: scene.engine.fleet.kill(name) for name in WORKERS}
    injected_at = scene.engine.now()
    orphans = [chunk for name, at in killed_at.items() for chunk in chunks_of(scene, name, at)]
    time.sleep(scene.outage_seconds)
    for name in WORKERS:
        scene.engine.fleet.restart(name)
    return injection_of(scene, kill_all_workers, orphans, injected_at)


def replace_worker(scene: Scene) -> Injection:
    """SIGTERM to a worker, which is started again when it has ended, as in a rolling deployment."""
    name = worked_chunk(scene).worker_name
    orphans = chunks_of(scene, name)
    injection = injection_of(scene, replace_worker, orphans)
    try:
        scene.engine.fleet.stop(name, STOP_SECONDS)
    finally:
        # Also if it did not end: the violation belongs to this round, not to later ones.
        scene.engine.fleet.restart(name)
    return injection


def kill_sweeper(scene: Scene) -> Injection:
    """`kill -9` of the sweeper, restarted, and of a busy worker process, whose chunks only the sweeper can recover."""
    # A chunk must be leased first. After an earlier fault it may take the sweeper to get there.
    worked_chunk(scene)
    scene.engine.fleet.kill("sweeper")
    try:
        return injection_of(scene, kill_sweeper, _kill_a_chunk_task(scene))
    finally:
        # Also if nothing was left to kill: later rounds need a sweeper.
        scene.engine.fleet.restart("sweeper")


def kill_api(scene: Scene) -> Injection:
    """`kill -9` of the API, started again at once. Readers get no answer in between."""
    scene.engine.fleet.kill("api")
    scene.engine.fleet.restart("api")
    return injection_of(scene, kill_api)


def freeze_worker(scene: Scene) -> Injection:
    """SIGSTOP to a worker until its leases have expired, then SIGCONT: it must not write its outcomes."""
    name = worked_chunk(scene).worker_name
    frozen_at = scene.engine.fleet.freeze(name)
    injection = injection_of(scene, freeze_worker, chunks_of(scene, name, frozen_at), frozen=True)
    time.sleep(FROZEN_SECONDS)
    scene.engine.fleet.thaw(name)
    return injection


def _kill_a_chunk_task(scene: Scene) -> Sequence[WorkedChunk]:
    """`kill -9` of a process that works a chunk. Gives the chunks that it leaves behind."""
    victim = worked_chunk(scene)
    os.kill(victim.pid, signal.SIGKILL)
    chunks = scene.engine.worked_chunks(scene.run_id, datetime.now(UTC))
    return [chunk for chunk in chunks if chunk.worker == victim.worker]
