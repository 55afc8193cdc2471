"""Wall clocks that jump by hours, forwards and backwards, while everything goes on."""

import time

from tests.faults.scene import Blow, Fault, Scene, chunk_in_hand

JUMPS = ((6, 6.0), (-6, 2.0), (0, 0.0))
"""By how many hours the clock is wrong, and for how many seconds; at last it is right again, which is a jump as well.

Long enough ahead for kombu, which looks every five seconds for messages that are in hand for too long.
"""


def jump_worker_clock(scene: Scene) -> Blow:
    """The clock of a worker with chunks in hand jumps; the others' stay right."""
    return _jump(scene, jump_worker_clock, chunk_in_hand(scene).worker_name)


def jump_sweeper_and_api_clocks(scene: Scene) -> Blow:
    """The clocks of the sweeper and the API jump, as on a machine that holds no worker."""
    return _jump(scene, jump_sweeper_and_api_clocks, "sweeper", "api")


def _jump(scene: Scene, fault: Fault, *names: str) -> Blow:
    struck_at = scene.engine.now()
    for hours, seconds in JUMPS:
        for name in names:
            scene.engine.clocks.jump(name, hours * 3600)
        time.sleep(seconds)
    return Blow(fault.__name__, struck_at, struck_at)
