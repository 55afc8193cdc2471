"""PgBouncer is killed or unavailable. Only with PgBouncer in front of Postgres."""

import time

from tests.faults.scene import Fault, Injection, Scene, injection_of


def restart_pgbouncer(scene: Scene) -> Injection:
    """`kill -9` of PgBouncer, with every connection on both of its sides, started again at once."""
    return _away(scene, restart_pgbouncer, seconds=0)


def pgbouncer_down(scene: Scene) -> Injection:
    """PgBouncer killed and unavailable for an outage."""
    return _away(scene, pgbouncer_down, scene.outage_seconds)


def _away(scene: Scene, fault: Fault, seconds: float) -> Injection:
    pgbouncer = scene.engine.pgbouncer
    assert pgbouncer
    orphans = scene.engine.worked_chunks(scene.run_id)
    injected_at = scene.engine.now()
    pgbouncer.kill()
    time.sleep(seconds)
    pgbouncer.start()
    return injection_of(scene, fault, orphans, injected_at)
