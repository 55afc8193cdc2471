"""The pooler before Postgres killed, or away: only where there is one."""

import time

from tests.faults.scene import Blow, Fault, Scene, blow_of


def restart_pgbouncer(scene: Scene) -> Blow:
    """`kill -9` of PgBouncer, with every connection on both of its sides, started again at once."""
    return _away(scene, restart_pgbouncer, seconds=0)


def pgbouncer_down(scene: Scene) -> Blow:
    """PgBouncer killed and away for an outage."""
    return _away(scene, pgbouncer_down, scene.outage_seconds)


def _away(scene: Scene, fault: Fault, seconds: float) -> Blow:
    pgbouncer = scene.engine.pgbouncer
    assert pgbouncer
    orphans = scene.engine.chunks_in_hand(scene.run_id)
    struck_at = scene.engine.now()
    pgbouncer.kill()
    time.sleep(seconds)
    pgbouncer.start()
    return blow_of(scene, fault, orphans, struck_at)
