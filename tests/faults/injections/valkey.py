"""Valkey is emptied, killed, unavailable or frozen. It holds the live copies, and is the broker unless RabbitMQ is."""

import time

import psutil

from tests.faults.scene import Fault, Injection, Scene, injection_of

FROZEN_SECONDS = 2
REFUSING_SECONDS = 4
NO_PORT = 9


def flush_redis(scene: Scene) -> Injection:
    """FLUSHALL: queued messages, unacknowledged ones and live copies are gone."""
    with scene.engine.valkey_client() as client:
        client.flushall()
    return injection_of(scene, flush_redis)


def restart_valkey(scene: Scene) -> Injection:
    """`kill -9` of Valkey, started again at once on what its append-only file holds."""
    return _away(scene, restart_valkey, seconds=0)


def valkey_down(scene: Scene) -> Injection:
    """Valkey killed and unavailable for an outage."""
    return _away(scene, valkey_down, scene.outage_seconds)


def freeze_valkey(scene: Scene) -> Injection:
    """SIGSTOP to Valkey for some seconds: it accepts connections and answers nothing."""
    with scene.engine.valkey_client() as client:
        process = psutil.Process(int(client.info("server")["process_id"]))
    process.suspend()
    injected_at = scene.engine.now()
    time.sleep(FROZEN_SECONDS)
    process.resume()
    return injection_of(scene, freeze_valkey, injected_at=injected_at)


def valkey_out_of_memory(scene: Scene) -> Injection:
    """Valkey refuses writes for some seconds: its memory is full, and it evicts nothing."""
    with scene.engine.valkey_client() as client:
        client.config_set("maxmemory", "1")
        injected_at = scene.engine.now()
        time.sleep(REFUSING_SECONDS)
        client.config_set("maxmemory", "0")
    return injection_of(scene, valkey_out_of_memory, injected_at=injected_at)


def valkey_read_only(scene: Scene) -> Injection:
    """Valkey refuses writes for some seconds as a replica, as in a failover that is reverted."""
    with scene.engine.valkey_client() as client:
        client.replicaof("127.0.0.1", NO_PORT)
        injected_at = scene.engine.now()
        time.sleep(REFUSING_SECONDS)
        client.replicaof("NO", "ONE")
    return injection_of(scene, valkey_read_only, injected_at=injected_at)


def _away(scene: Scene, fault: Fault, seconds: float) -> Injection:
    scene.engine.valkey.kill()
    injected_at = scene.engine.now()
    time.sleep(seconds)
    scene.engine.valkey.start()
    return injection_of(scene, fault, injected_at=injected_at)
