"""Valkey emptied, killed, away, frozen: the live copy's server, and the broker unless that is RabbitMQ."""

import time

import psutil

from tests.faults.scene import Blow, Fault, Scene, blow_of
from worker.app import QUEUE

FROZEN_SECONDS = 2


def flush_redis(scene: Scene) -> Blow:
    """FLUSHALL: queued messages, unacknowledged ones and live copies are gone."""
    with scene.engine.valkey_client() as client:
        client.flushall()
    return blow_of(scene, flush_redis)


def restart_valkey(scene: Scene) -> Blow:
    """`kill -9` of Valkey, started again at once on what its append-only file holds."""
    return _away(scene, restart_valkey, seconds=0)


def valkey_down(scene: Scene) -> Blow:
    """Valkey killed and away for an outage."""
    return _away(scene, valkey_down, scene.outage_seconds)


def freeze_valkey(scene: Scene) -> Blow:
    """SIGSTOP to Valkey for some seconds: connections are taken and nothing is answered."""
    with scene.engine.valkey_client() as client:
        process = psutil.Process(int(client.info("server")["process_id"]))
    process.suspend()
    struck_at = scene.engine.now()
    time.sleep(FROZEN_SECONDS)
    process.resume()
    return blow_of(scene, freeze_valkey, struck_at=struck_at)


def deliver_twice(scene: Scene) -> Blow:
    """Every message that waits or is in hand delivered once more, as after a visibility timeout."""
    with scene.engine.valkey_client() as client:
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
    return blow_of(scene, deliver_twice)


def _away(scene: Scene, fault: Fault, seconds: float) -> Blow:
    scene.engine.valkey.kill()
    struck_at = scene.engine.now()
    time.sleep(seconds)
    scene.engine.valkey.start()
    return blow_of(scene, fault, struck_at=struck_at)
