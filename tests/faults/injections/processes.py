"""Processes of the engine killed, stopped, frozen.

What a victim had in hand is read after the blow, which may take a while on a machine that is busy. So it is judged by
the moment of the blow: Postgres runs on this machine, its clock is ours.
"""

import os
import signal
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.faults.engine import WORKERS, ChunkInHand
from tests.faults.scene import Blow, Scene, blow_of, chunk_in_hand, chunks_of

FROZEN_SECONDS = 10
"""How long a worker is stopped: longer than its lease of 8 s."""
STOP_SECONDS = 30


def kill_pool_process(scene: Scene) -> Blow:
    """`kill -9` of a pool process that has a chunk in hand; its worker replaces it."""
    return blow_of(scene, kill_pool_process, _kill_a_chunk_task(scene))


def kill_worker(scene: Scene) -> Blow:
    """`kill -9` of a whole worker, children included; its supervisor starts it again at once."""
    name = chunk_in_hand(scene).worker_name
    killed_at = scene.engine.fleet.kill(name)
    blow = blow_of(scene, kill_worker, chunks_of(scene, name, killed_at))
    scene.engine.fleet.restart(name)
    return blow


def kill_all_workers(scene: Scene) -> Blow:
    """`kill -9` of all workers, started again after an outage."""
    killed_at = {name: scene.engine.fleet.kill(name) for name in WORKERS}
    struck_at = scene.engine.now()
    orphans = [chunk for name, at in killed_at.items() for chunk in chunks_of(scene, name, at)]
    time.sleep(scene.outage_seconds)
    for name in WORKERS:
        scene.engine.fleet.restart(name)
    return blow_of(scene, kill_all_workers, orphans, struck_at)


def replace_worker(scene: Scene) -> Blow:
    """SIGTERM to a worker, started again when it has ended: what a deployment does to each in turn."""
    name = chunk_in_hand(scene).worker_name
    orphans = chunks_of(scene, name)
    blow = blow_of(scene, replace_worker, orphans)
    try:
        scene.engine.fleet.stop(name, STOP_SECONDS)
    finally:
        # Also when it did not end: that is this round's violation, not those of later ones.
        scene.engine.fleet.restart(name)
    return blow


def kill_sweeper(scene: Scene) -> Blow:
    """`kill -9` of the sweeper and of a busy pool process, whose chunk only a sweeper can save; it is started again."""
    # First somebody must be at work: after an earlier fault it may take the sweeper to bring that about.
    chunk_in_hand(scene)
    scene.engine.fleet.kill("sweeper")
    try:
        return blow_of(scene, kill_sweeper, _kill_a_chunk_task(scene))
    finally:
        # Also when there was nothing left to kill: later rounds need one.
        scene.engine.fleet.restart("sweeper")


def kill_api(scene: Scene) -> Blow:
    """`kill -9` of the API, started again at once: readers get no answer meanwhile."""
    scene.engine.fleet.kill("api")
    scene.engine.fleet.restart("api")
    return blow_of(scene, kill_api)


def freeze_worker(scene: Scene) -> Blow:
    """SIGSTOP to a worker past its leases, then SIGCONT: what it had in hand it must not write."""
    name = chunk_in_hand(scene).worker_name
    frozen_at = scene.engine.fleet.freeze(name)
    blow = blow_of(scene, freeze_worker, chunks_of(scene, name, frozen_at), frozen=True)
    time.sleep(FROZEN_SECONDS)
    scene.engine.fleet.thaw(name)
    return blow


def _kill_a_chunk_task(scene: Scene) -> Sequence[ChunkInHand]:
    """`kill -9` of a process that works a chunk; what it leaves behind."""
    victim = chunk_in_hand(scene)
    os.kill(victim.pid, signal.SIGKILL)
    chunks = scene.engine.chunks_in_hand(scene.run_id, datetime.now(UTC))
    return [chunk for chunk in chunks if chunk.worker == victim.worker]
