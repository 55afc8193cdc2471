"""Wall clocks jump by hours, forwards and backwards, while the engine runs."""

import time

from tests.faults.scene import Fault, Injection, Scene, worked_chunk

JUMPS = ((6, 6.0), (-6, 2.0), (0, 0.0))
"""By how many hours the clock is wrong, and for how many seconds. The return to the correct time is a jump too.

The clock is ahead long enough for kombu, which looks for overdue unacknowledged messages every five seconds.
"""


def jump_worker_clock(scene: Scene) -> Injection:
    """The clock of a busy worker jumps. Those of other workers stay correct."""
    return _jump(scene, jump_worker_clock, worked_chunk(scene).worker_name)


def jump_sweeper_and_api_clocks(scene: Scene) -> Injection:
    """The clocks of the sweeper and the API jump, as on a machine without workers."""
    return _jump(scene, jump_sweeper_and_api_clocks, "sweeper", "api")


def _jump(scene: Scene, fault: Fault, *names: str) -> Injection:
    injected_at = scene.engine.now()
    for hours, seconds in JUMPS:
        for name in names:
            scene.engine.clocks.jump(name, hours * 3600)
        time.sleep(seconds)
    return Injection(fault.__name__, injected_at, injected_at)
