"""The sweeper: sends the chain again for runs that have work and no live lease, or were never sent.

Run as `python -m worker.sweeper`. Several may run at once: an advisory lock lets one sweep at a time.
Why it is a process of its own and not a Celery task: docs/decisions/0004-sweeper.md.
"""

import logging
import signal
import threading
from collections.abc import Sequence
from types import FrameType

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from models.database import Database, open_database
from models.settings import load_settings, required
from pipeline.runs import Stalled, find_stalled
from worker.dispatch import DispatchFailed, send_chain

SWEEP_LOCK = 0x73776570

log = logging.getLogger(__name__)


def sweep(database: Database) -> int:
    """One sweep; how many chains were sent. Raises `OperationalError` when Postgres is away."""
    stalled = _find(database)
    for sent, run in enumerate(stalled):
        try:
            send_chain(run.run_id, run.preset)
        except DispatchFailed as error:
            log.warning("%d runs wait for their chain: %s", len(stalled) - sent, error)
            return sent
        log.info("run %s: sent the chain again", run.run_id)
    return len(stalled)


def _find(database: Database) -> Sequence[Stalled]:
    with database.transaction() as session:
        mine = session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": SWEEP_LOCK})
        return find_stalled(session) if mine else ()


def main() -> None:
    """Sweep until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = required(load_settings(), "database_url", "redis_url")
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    database = open_database(settings.database_url, pool_size=1)
    log.info("sweeping every %s s", settings.sweep_seconds)
    while not stopping.wait(settings.sweep_seconds):
        try:
            sweep(database)
        except OperationalError as error:
            log.warning("Postgres does not answer: %s", type(error.orig).__name__)
    database.close()


if __name__ == "__main__":
    main()
