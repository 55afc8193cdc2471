"""Postgres crashes, is unavailable, read-only, blocked by a session of ours, or can't read the contacts of a chunk."""

import time
from contextlib import ExitStack, suppress
from typing import Any

import psycopg
from sqlalchemy import Row, text

from models.postgres_errors import PostgresUnavailable
from models.transitions import lock_run
from tests.faults.engine import wait_until
from tests.faults.scene import Fault, Injection, RunOver, Scene, injection_of
from tests.integration.failures.broken_steps import unreadable

LOCK_HELD_SECONDS = 20
"""Longer than any bound: only an engine that ends the lock by itself recovers in time."""

CROWDED_SECONDS = 4
READ_ONLY_SECONDS = 4
MAKE_READ_ONLY = ("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
MAKE_WRITABLE = (
    "SET default_transaction_read_only = off",
    "ALTER SYSTEM RESET default_transaction_read_only",
    "SELECT pg_reload_conf()",
)
UNREADABLE_SECONDS = 4
"""Long enough for several attempts, and too short for a contact to be blamed."""
LAST_CHUNK = text("""
SELECT first_position, last_position FROM run_chunks
WHERE run_id = :run_id AND status = 'open' AND not_before IS NULL AND stage <> 'compile' ORDER BY number DESC LIMIT 1
""")
FAILED_TO_LOAD = text("""
SELECT EXISTS (SELECT FROM run_events WHERE run_id = :run_id AND detail ->> 'step' = 'load')
""")
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'growth-engine'"


def restart_postgres(scene: Scene) -> Injection:
    """Postgres stopped `immediate`, as in a crash, and started again at once."""
    return _away(scene, restart_postgres, seconds=0)


def postgres_down(scene: Scene) -> Injection:
    """Postgres stopped `immediate` and unavailable for an outage."""
    return _away(scene, postgres_down, scene.outage_seconds)


def hold_run_lock(scene: Scene) -> Injection:
    """A chunk task freezes in a transaction that locks the run's row, as when a machine loses its network."""
    injected_at = scene.engine.now()
    # The server may end the session in the meantime: that is how an engine can protect itself.
    with suppress(PostgresUnavailable), scene.engine.database.transaction() as session:
        lock_run(session, scene.run_id)
        time.sleep(LOCK_HELD_SECONDS)
    return Injection(hold_run_lock.__name__, injected_at, injected_at)


def end_sessions(scene: Scene) -> Injection:
    """Every session of the engine ended by the server, as in a failover. New ones are accepted at once."""
    orphans = scene.engine.worked_chunks(scene.run_id)
    _execute(scene, END_SESSIONS)
    return injection_of(scene, end_sessions, orphans)


def too_many_clients(scene: Scene) -> Injection:
    """Every session ended, and all connections used by others for some seconds: SQLSTATE 53300 for the engine."""
    orphans = scene.engine.worked_chunks(scene.run_id)
    injected_at = scene.engine.now()
    with ExitStack() as crowd:
        first = crowd.enter_context(psycopg.connect(scene.engine.postgres.url, autocommit=True))
        until = time.monotonic() + CROWDED_SECONDS
        while time.monotonic() < until:
            try:
                crowd.enter_context(psycopg.connect(scene.engine.postgres.url))
            except psycopg.OperationalError:
                # No connection is free: those of the engine are ended, and others take their places at once.
                first.execute(END_SESSIONS)
    return injection_of(scene, too_many_clients, orphans, injected_at)


def postgres_read_only(scene: Scene) -> Injection:
    """Postgres refuses writes for some seconds, like a demoted primary: SQLSTATE 25006."""
    orphans = scene.engine.worked_chunks(scene.run_id)
    injected_at = scene.engine.now()
    _execute(scene, *MAKE_READ_ONLY)
    time.sleep(READ_ONLY_SECONDS)
    _execute(scene, *MAKE_WRITABLE)
    return injection_of(scene, postgres_read_only, orphans, injected_at)


def _execute(scene: Scene, *statements: str) -> None:
    with psycopg.connect(scene.engine.postgres.url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def fail_loading(scene: Scene) -> Injection:
    """A chunk that is not leased yet can't be loaded for some seconds: a division by zero for its contacts."""
    chunk = _last_chunk(scene)
    positions = f"run_id = '{scene.run_id}' AND position BETWEEN {chunk.first_position} AND {chunk.last_position}"
    broken = unreadable("company", positions, "")
    injected_at = scene.engine.now()
    broken.break_in(scene.engine.database)
    try:
        wait_until(lambda: _failed_to_load(scene), "a chunk that could not be loaded", seconds=30)
        time.sleep(UNREADABLE_SECONDS)
    finally:
        broken.repair_in(scene.engine.database)
    return injection_of(scene, fail_loading, injected_at=injected_at)


def _last_chunk(scene: Scene) -> Row[Any]:
    """The chunk that is leased last, so that it is not leased yet. Raises `RunOver`, and `TimeoutError` without one."""
    found: list[Row[Any]] = []

    def look() -> bool:
        with scene.engine.database.transaction() as session:
            found[:] = session.execute(LAST_CHUNK, {"run_id": scene.run_id}).all()
        if not found and scene.engine.is_over(scene.run_id):
            raise RunOver
        return bool(found)

    wait_until(look, "a chunk that is not leased", seconds=60)
    return found[0]


def _failed_to_load(scene: Scene) -> bool:
    with scene.engine.database.transaction() as session:
        return bool(session.execute(FAILED_TO_LOAD, {"run_id": scene.run_id}).scalar_one())


def _away(scene: Scene, fault: Fault, seconds: float) -> Injection:
    orphans = scene.engine.worked_chunks(scene.run_id)
    injected_at = scene.engine.now()
    scene.engine.postgres.kill()
    time.sleep(seconds)
    scene.engine.postgres.start()
    return injection_of(scene, fault, orphans, injected_at)
