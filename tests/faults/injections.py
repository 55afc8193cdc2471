"""The faults: each a function that does its damage to a run in the middle of its work, and says when and to whom."""

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psutil
from sqlalchemy.exc import DBAPIError

from models.transitions import lock_run
from tests.faults.engine import WORKERS, ChunkInHand, FaultEngine, wait_until
from worker.app import QUEUE

FROZEN_SECONDS = 10
"""How long a worker is stopped: longer than its lease of 8 s."""
STOP_SECONDS = 30
LOCK_HELD_SECONDS = 20
"""Longer than any bound: only an engine that gets rid of the lock by itself goes on in time."""
VALKEY_FROZEN_SECONDS = 2
DISK_FULL_SECONDS = 4


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


def kill_pool_process(scene: Scene) -> Blow:
    """`kill -9` of a pool process that has a chunk in hand; its worker replaces it."""
    return _blow(scene, kill_pool_process, _kill_a_lane(scene))


def kill_worker(scene: Scene) -> Blow:
    """`kill -9` of a whole worker, children included; its supervisor starts it again at once."""
    name = _chunk_in_hand(scene).worker_name
    scene.engine.fleet.kill(name)
    blow = _blow(scene, kill_worker, _chunks_of(scene, name))
    scene.engine.fleet.restart(name)
    return blow


def kill_all_workers(scene: Scene) -> Blow:
    """`kill -9` of all workers, started again after an outage."""
    for name in WORKERS:
        scene.engine.fleet.kill(name)
    struck_at, orphans = scene.engine.now(), scene.engine.chunks_in_hand(scene.run_id)
    time.sleep(scene.outage_seconds)
    for name in WORKERS:
        scene.engine.fleet.restart(name)
    return _blow(scene, kill_all_workers, orphans, struck_at)


def replace_worker(scene: Scene) -> Blow:
    """SIGTERM to a worker, started again when it has ended: what a deployment does to each in turn."""
    name = _chunk_in_hand(scene).worker_name
    orphans = _chunks_of(scene, name)
    blow = _blow(scene, replace_worker, orphans)
    scene.engine.fleet.stop(name, STOP_SECONDS)
    scene.engine.fleet.restart(name)
    return blow


def kill_sweeper(scene: Scene) -> Blow:
    """`kill -9` of the sweeper and of a busy pool process, whose chunk only a sweeper can save; it is started again."""
    scene.engine.fleet.kill("sweeper")
    blow = _blow(scene, kill_sweeper, _kill_a_lane(scene))
    scene.engine.fleet.restart("sweeper")
    return blow


def kill_api(scene: Scene) -> Blow:
    """`kill -9` of the API, started again at once: readers get no answer meanwhile."""
    scene.engine.fleet.kill("api")
    scene.engine.fleet.restart("api")
    return _blow(scene, kill_api)


def flush_redis(scene: Scene) -> Blow:
    """FLUSHALL: queued messages, unacknowledged ones and live copies are gone."""
    with scene.engine.broker() as client:
        client.flushall()
    return _blow(scene, flush_redis)


def restart_valkey(scene: Scene) -> Blow:
    """`kill -9` of Valkey, started again at once on what its append-only file holds."""
    return _valkey_away(scene, restart_valkey, seconds=0)


def valkey_down(scene: Scene) -> Blow:
    """Valkey killed and away for an outage."""
    return _valkey_away(scene, valkey_down, scene.outage_seconds)


def freeze_valkey(scene: Scene) -> Blow:
    """SIGSTOP to Valkey for some seconds: connections are taken and nothing is answered."""
    with scene.engine.broker() as client:
        process = psutil.Process(int(client.info("server")["process_id"]))
    process.suspend()
    struck_at = scene.engine.now()
    time.sleep(VALKEY_FROZEN_SECONDS)
    process.resume()
    return _blow(scene, freeze_valkey, struck_at=struck_at)


def restart_postgres(scene: Scene) -> Blow:
    """Postgres stopped `immediate`, as in a crash, and started again at once."""
    return _postgres_away(scene, restart_postgres, seconds=0)


def postgres_down(scene: Scene) -> Blow:
    """Postgres stopped `immediate` and away for an outage."""
    return _postgres_away(scene, postgres_down, scene.outage_seconds)


def send_chain_three_times(scene: Scene) -> Blow:
    """The run's chain sent three times more while it is worked."""
    sender = scene.engine.python("tests.faults.chain_sender", str(scene.run_id), "3")
    sender.check_returncode()
    return _blow(scene, send_chain_three_times)


def deliver_twice(scene: Scene) -> Blow:
    """Every message that waits or is in hand delivered once more, as after a visibility timeout."""
    with scene.engine.broker() as client:
        waiting = client.lrange(QUEUE, 0, -1)
        # kombu keeps each as JSON of [message, exchange, routing key] under its delivery tag.
        in_hand = client.eval(
            "local copies = {} for i, kept in ipairs(redis.call('HVALS', KEYS[1])) do "
            "copies[i] = cjson.encode(cjson.decode(kept)[1]) end return copies",
            1,
            "unacked",
        )
        copies = [*waiting, *in_hand]
        if copies:
            client.lpush(QUEUE, *copies)
    return _blow(scene, deliver_twice)


def freeze_worker(scene: Scene) -> Blow:
    """SIGSTOP to a worker past its leases, then SIGCONT: what it had in hand it must not write."""
    name = _chunk_in_hand(scene).worker_name
    scene.engine.fleet.freeze(name)
    blow = _blow(scene, freeze_worker, _chunks_of(scene, name), frozen=True)
    time.sleep(FROZEN_SECONDS)
    scene.engine.fleet.thaw(name)
    return blow


def hold_run_lock(scene: Scene) -> Blow:
    """A lane freezes in a transaction, with the run's row locked: so does a machine that loses its network."""
    struck_at = scene.engine.now()
    # The server may end the session meanwhile: that is how an engine can defend itself.
    with suppress(DBAPIError), scene.engine.database.transaction() as session:
        lock_run(session, scene.run_id)
        time.sleep(LOCK_HELD_SECONDS)
    return Blow(hold_run_lock.__name__, struck_at, struck_at)


def fill_disk(scene: Scene) -> Blow:
    """No export file can be written from now until some seconds after the first attempt."""
    exports = scene.engine.export_dir
    aside = exports.with_name("exports-aside")
    exports.mkdir(exist_ok=True)
    exports.rename(aside)
    exports.touch()
    struck_at = scene.engine.now()
    wait_until(lambda: _compile_was_tried(scene), "the first attempt to compile", seconds=60)
    time.sleep(DISK_FULL_SECONDS)
    exports.unlink()
    aside.rename(exports)
    return _blow(scene, fill_disk, struck_at=struck_at)


KILL_BOUND_S = 12.0
FLUSH_BOUND_S = 10.0
POSTGRES_BOUND_S = 5.0
STOP_BOUND_S = 5.0

Fault = Callable[[Scene], Blow]

BOUNDS: dict[Fault, float] = {
    kill_pool_process: KILL_BOUND_S,
    kill_worker: KILL_BOUND_S,
    kill_all_workers: KILL_BOUND_S,
    replace_worker: STOP_BOUND_S,
    kill_sweeper: KILL_BOUND_S,
    kill_api: KILL_BOUND_S,
    freeze_worker: KILL_BOUND_S,
    hold_run_lock: KILL_BOUND_S,
    flush_redis: FLUSH_BOUND_S,
    restart_valkey: FLUSH_BOUND_S,
    valkey_down: FLUSH_BOUND_S,
    freeze_valkey: FLUSH_BOUND_S,
    send_chain_three_times: FLUSH_BOUND_S,
    deliver_twice: FLUSH_BOUND_S,
    restart_postgres: POSTGRES_BOUND_S,
    postgres_down: POSTGRES_BOUND_S,
    fill_disk: KILL_BOUND_S,
}
"""All faults, and within how many seconds the engine must be at work again."""


def _valkey_away(scene: Scene, fault: Fault, seconds: float) -> Blow:
    scene.engine.valkey.kill()
    struck_at = scene.engine.now()
    time.sleep(seconds)
    scene.engine.valkey.start()
    return _blow(scene, fault, struck_at=struck_at)


def _postgres_away(scene: Scene, fault: Fault, seconds: float) -> Blow:
    orphans = scene.engine.chunks_in_hand(scene.run_id)
    struck_at = scene.engine.now()
    scene.engine.postgres.kill()
    time.sleep(seconds)
    scene.engine.postgres.start()
    return _blow(scene, fault, orphans, struck_at)


def _blow(
    scene: Scene,
    fault: Fault,
    orphans: Iterable[ChunkInHand] = (),
    struck_at: datetime | None = None,
    *,
    frozen: bool = False,
) -> Blow:
    since = scene.engine.now()
    return Blow(fault.__name__, struck_at or since, since, tuple(orphans), frozen)


def _kill_a_lane(scene: Scene) -> list[ChunkInHand]:
    """`kill -9` of a process that works a chunk; what it leaves behind."""
    victim = _chunk_in_hand(scene)
    os.kill(victim.pid, signal.SIGKILL)
    return [chunk for chunk in scene.engine.chunks_in_hand(scene.run_id) if chunk.worker == victim.worker]


def _chunk_in_hand(scene: Scene) -> ChunkInHand:
    """One that is worked right now by a process that lives."""
    found: list[ChunkInHand] = []

    def look() -> bool:
        found[:] = [chunk for chunk in scene.engine.chunks_in_hand(scene.run_id) if psutil.pid_exists(chunk.pid)]
        return bool(found)

    wait_until(look, "a chunk in hand", seconds=30)
    return found[0]


def _chunks_of(scene: Scene, worker_name: str) -> list[ChunkInHand]:
    return [chunk for chunk in scene.engine.chunks_in_hand(scene.run_id) if chunk.worker_name == worker_name]


def _compile_was_tried(scene: Scene) -> bool:
    return any(chunk.stage == "compile" for chunk in scene.engine.chunks_in_hand(scene.run_id))
