"""Valkey emptied, killed, away, frozen: the live copy's server, and the broker unless that is RabbitMQ."""

import time

import psutil

from tests.faults.scene import Blow, Fault, Scene, blow_of

FROZEN_SECONDS = 2
REFUSING_SECONDS = 4
NO_PORT = 9


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


def valkey_out_of_memory(scene: Scene) -> Blow:
    """Valkey takes no writes for some seconds: its memory is full, and it evicts nothing."""
    with scene.engine.valkey_client() as client:
        client.config_set("maxmemory", "1")
        struck_at = scene.engine.now()
        time.sleep(REFUSING_SECONDS)
        client.config_set("maxmemory", "0")
    return blow_of(scene, valkey_out_of_memory, struck_at=struck_at)


def valkey_read_only(scene: Scene) -> Blow:
    """Valkey takes no writes for some seconds: it was made a replica, as in a failover that is taken back."""
    with scene.engine.valkey_client() as client:
        client.replicaof("127.0.0.1", NO_PORT)
        struck_at = scene.engine.now()
        time.sleep(REFUSING_SECONDS)
        client.replicaof("NO", "ONE")
    return blow_of(scene, valkey_read_only, struck_at=struck_at)


def _away(scene: Scene, fault: Fault, seconds: float) -> Blow:
    scene.engine.valkey.kill()
    struck_at = scene.engine.now()
    time.sleep(seconds)
    scene.engine.valkey.start()
    return blow_of(scene, fault, struck_at=struck_at)
