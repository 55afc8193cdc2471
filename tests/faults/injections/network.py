"""The network between one worker and its servers fails."""

import time

from tests.faults.engine import RELAYED
from tests.faults.scene import Injection, Scene, chunks_of, injection_of, worked_chunk

CUT_OFF_SECONDS = 10
"""Longer than a lease of 8 s."""


def cut_off_worker(scene: Scene) -> Injection:
    """A busy worker reaches no server until its leases have expired. Then everything that it sent arrives at once."""
    worked_chunk(scene, RELAYED)
    for relay in scene.engine.relays:
        relay.hold()
    injection = injection_of(scene, cut_off_worker, chunks_of(scene, RELAYED), frozen=True)
    time.sleep(CUT_OFF_SECONDS)
    for relay in scene.engine.relays:
        relay.release()
    return injection


def reset_connections(scene: Scene) -> Injection:
    """All connections of a busy worker are reset at once, as by a firewall that is restarted."""
    worked_chunk(scene, RELAYED)
    for relay in scene.engine.relays:
        relay.reset()
    return injection_of(scene, reset_connections, chunks_of(scene, RELAYED))
