"""When chunk tasks renewed their leases: a task that waits for a mail server records nothing, but is working."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from models.postgres_errors import PostgresUnavailable
from settings import Settings
from tests.faults.engine import FaultEngine

LEASE_S = float(Settings.model_fields["lease_seconds"].default)
POLL_SECONDS = 0.2
LEASES = text("SELECT stage, number, lease_expires_at FROM run_chunks WHERE run_id = :run_id AND status = 'leased'")


@dataclass(frozen=True, slots=True)
class Renewal:
    """A lease of a chunk, or its renewal, by the clock of the database."""

    stage: str
    number: int
    at: datetime


@contextmanager
def watching_renewals(engine: FaultEngine, run_id: UUID) -> Iterator[set[Renewal]]:
    """Collect renewals until the block ends."""
    renewals: set[Renewal] = set()
    stopping = threading.Event()
    thread = threading.Thread(target=_watch, args=(engine, run_id, renewals, stopping), name="renewals")
    thread.start()
    try:
        yield renewals
    finally:
        stopping.set()
        thread.join()


def _watch(engine: FaultEngine, run_id: UUID, renewals: set[Renewal], stopping: threading.Event) -> None:
    while not stopping.wait(POLL_SECONDS):
        try:
            renewals.update(_renewals(engine, run_id))
        except PostgresUnavailable:
            # Postgres is unavailable: no lease can be renewed.
            continue


def _renewals(engine: FaultEngine, run_id: UUID) -> list[Renewal]:
    with engine.database.transaction() as session:
        leases = session.execute(LEASES, {"run_id": run_id}).all()
    return [Renewal(row.stage, row.number, row.lease_expires_at - timedelta(seconds=LEASE_S)) for row in leases]
