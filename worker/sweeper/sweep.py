"""The sweeper: sends the chain again for runs that have work and no live lease, or were never sent.

Run as `python -m worker.sweeper`. Several may run at once: an advisory lock lets one of them look at a time.
Why it is a process of its own and not a Celery task: docs/decisions/0004-sweeper.md.
"""

import logging
import signal
import threading
from collections.abc import Sequence
from types import FrameType

from models.connections import IN_THE_BACKGROUND
from models.database import Database, check_at_start, open_database
from models.postgres_errors import PostgresUnavailable
from models.transitions import lock_run
from pipeline.results.export_lease import find_unexported
from pipeline.runs.lifecycle import fail
from pipeline.runs.stalled import (
    Overdue,
    Stalled,
    find_all_active,
    find_overdue,
    find_stalled,
    take_turn,
    unmark_resent,
)
from pipeline.runs.trouble import Step, StepFailed, fault_of, note_step, place_of, step
from settings import Settings, load_settings, required
from worker.dispatch import DispatchFailed, send_chain, send_export
from worker.sweeper.broker_marker import BrokerMarker, open_broker_marker
from worker.sweeper.expire import keep_expiring

STOP_S = 5.0

log = logging.getLogger(__name__)


def sweep(database: Database, broker_marker: BrokerMarker, run_hours: float, stage_hours: float) -> None:
    """One sweep. Raises `PostgresUnavailable`, and `DispatchFailed` when the broker is away."""
    _fail_overdue(database, run_hours, stage_hours)
    # Asked first: while the broker is away nothing is found, and so nothing is put off.
    lost_its_data = broker_marker.is_gone()
    with database.transaction() as session:
        take_turn(session)
        stalled = find_all_active(session) if lost_its_data else find_stalled(session)
        unexported = find_unexported(session)
    _send_chains(database, stalled)
    for run_id in unexported:
        send_export(run_id)
    if lost_its_data:
        broker_marker.put()


def main() -> None:
    """Sweep until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = required(load_settings(), "database_url", "redis_url")
    check_at_start(settings.database_url)
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    expiry = threading.Thread(target=keep_expiring, args=(settings, stopping), name="expiry", daemon=True)
    expiry.start()
    database = open_database(
        settings.database_url, pool_size=1, application_name="growth-sweeper", timeouts=IN_THE_BACKGROUND
    )
    broker_marker = open_broker_marker(settings)
    log.info("sweeping every %s s", settings.sweep_seconds)
    while not stopping.wait(settings.sweep_seconds):
        sweep_or_log(database, broker_marker, settings)
    database.close()
    # A step in hand is finished; a disk that hangs is not waited for.
    expiry.join(STOP_S)


def sweep_or_log(database: Database, broker_marker: BrokerMarker, settings: Settings) -> None:
    """One sweep; whatever befalls it, the next one comes."""
    try:
        sweep(database, broker_marker, settings.run_hours, settings.stage_hours)
    except PostgresUnavailable as error:
        log.warning("Postgres is not available: %s", error)
    except DispatchFailed as error:
        log.warning("runs may wait for their chains: %s", error)
    except Exception as error:  # noqa: BLE001 - a fault of ours: all runs need the next sweep
        log.error("a sweep broke: %s, %s", fault_of(error), place_of(error))


def _fail_overdue(database: Database, run_hours: float, stage_hours: float) -> None:
    with database.transaction() as session:
        overdue = find_overdue(session, run_hours, stage_hours)
    for late in overdue:
        try:
            _fail(database, late)
        except StepFailed as failed:
            # One run that can't be ended holds up no other; it is found again after a pause.
            log.error("run %s, stage %s: %s", late.run_id, late.error.stage, failed)
            _note(database, late, failed)


def _fail(database: Database, late: Overdue) -> None:
    with step(Step.FAIL), database.transaction() as session:
        failed = fail(session, late.run_id, late.error)
    if failed:
        log.error("run %s, stage %s: failed with %s", late.run_id, late.error.stage, late.error.code)


def _note(database: Database, late: Overdue, failed: StepFailed) -> None:
    try:
        with step(Step.FAIL), database.transaction() as session:
            if run := lock_run(session, late.run_id):
                note_step(session, run, failed, late.error.stage)
    except StepFailed as error:
        log.error("run %s: its failure was not noted: %s", late.run_id, error)


def _send_chains(database: Database, stalled: Sequence[Stalled]) -> None:
    for sent, run in enumerate(stalled):
        try:
            send_chain(run.run_id, run.preset)
        except DispatchFailed:
            with database.transaction() as session:
                unmark_resent(session, [unsent.run_id for unsent in stalled[sent:]])
            raise
        log.info("run %s: sent the chain again", run.run_id)
