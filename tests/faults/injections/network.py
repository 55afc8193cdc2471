"""The network between one worker and all of its servers."""

import time

from tests.faults.engine import RELAYED
from tests.faults.scene import Blow, Scene, blow_of, chunk_in_hand, chunks_of

CUT_OFF_SECONDS = 10
"""Longer than a lease of 8 s."""


def cut_off_worker(scene: Scene) -> Blow:
    """A worker with chunks in hand reaches no server past its leases, then everything it sent arrives at once."""
    chunk_in_hand(scene, RELAYED)
    for relay in scene.engine.relays:
        relay.hold()
    blow = blow_of(scene, cut_off_worker, chunks_of(scene, RELAYED), frozen=True)
    time.sleep(CUT_OFF_SECONDS)
    for relay in scene.engine.relays:
        relay.release()
    return blow


def reset_connections(scene: Scene) -> Blow:
    """All connections of a worker with chunks in hand are reset at once, as by a firewall that was restarted."""
    chunk_in_hand(scene, RELAYED)
    for relay in scene.engine.relays:
        relay.reset()
    return blow_of(scene, reset_connections, chunks_of(scene, RELAYED))
