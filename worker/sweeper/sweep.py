"""The sweeper: sends the chain again for runs that have work and no live lease, or were never sent.

Started as `python -m worker.sweeper`. Several may run at once: an advisory lock lets one of them look at a time.
docs/decisions/0004-sweeper.md says why it is a process of its own and not a Celery task.
"""

import logging
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any
from uuid import UUID

from models.connections import IN_THE_BACKGROUND
from models.database import Database, check_at_start, open_database
from models.postgres_errors import OF_ONE_STATEMENT, PostgresUnavailable
from models.transitions import lock_run
from pipeline.credits import RateCard
from pipeline.results.export_lease import find_unexported, unmark_asked
from pipeline.runs.intake_rules import publish, rules_of
from pipeline.runs.lifecycle import fail
from pipeline.runs.stalled import (
    Overdue,
    Stalled,
    find_all_active,
    find_overdue,
    find_stalled,
    note_resent,
    take_turn,
    unmark_resent,
)
from pipeline.runs.trouble import Step, StepFailed, fault_of, note_step, place_of, step
from pipeline.storage import Bucket, open_storage
from settings import Settings, load_settings, required
from worker.dispatch import DispatchFailed, send_chain, send_export
from worker.hooks.deliverer import keep_delivering
from worker.sweeper.broker_marker import BrokerMarker, open_broker_marker
from worker.sweeper.bucket import keep_deleting
from worker.sweeper.expire import keep_expiring

STOP_S = 5.0

log = logging.getLogger(__name__)


def sweep(database: Database, broker_marker: BrokerMarker, run_hours: float, stage_hours: float) -> None:
    """One sweep. Raises `PostgresUnavailable`, and `DispatchFailed` when the broker is unavailable."""
    _fail_overdue(database, run_hours, stage_hours)
    # Checked first: while the broker is unavailable, no run is found and so none is postponed.
    lost_its_data = broker_marker.is_gone()
    with database.transaction() as session:
        take_turn(session)
        stalled = find_all_active(session) if lost_its_data else find_stalled(session)
        unexported = find_unexported(session)
    _send_chains(database, stalled, lost_its_data=lost_its_data)
    _send_exports(database, unexported)
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
    hooks = threading.Thread(target=keep_delivering, args=(settings, stopping), name="hooks", daemon=True)
    hooks.start()
    storage = open_storage(settings.export_storage, settings.export_dir)
    if isinstance(storage, Bucket):
        threading.Thread(target=keep_deleting, args=(settings, storage, stopping), name="bucket", daemon=True).start()
    database = open_database(
        settings.database_url, pool_size=1, application_name="growth-sweeper", timeouts=IN_THE_BACKGROUND
    )
    broker_marker = open_broker_marker(settings)
    rules = rules_of(RateCard.of(settings), settings.max_contacts, knows_companies=settings.companies_file is not None)
    are_published = False
    log.info("sweeping every %s s", settings.sweep_seconds)
    while not stopping.wait(settings.sweep_seconds):
        sweep_or_log(database, broker_marker, settings)
        are_published = are_published or publish_or_log(database, rules)
    database.close()
    # Waits for the current step, but not for a disk that hangs.
    expiry.join(STOP_S)
    hooks.join(STOP_S)


def sweep_or_log(database: Database, broker_marker: BrokerMarker, settings: Settings) -> None:
    """One sweep. Its errors are logged: the next sweep comes in any case."""
    try:
        sweep(database, broker_marker, settings.run_hours, settings.stage_hours)
    except PostgresUnavailable as error:
        log.warning("Postgres is unavailable: %s", error)
    except DispatchFailed as error:
        log.warning("runs may wait for their chains: %s", error)
    except Exception as error:  # noqa: BLE001 - a bug of ours must not end the sweeper
        log.error("a sweep broke: %s, %s", fault_of(error), place_of(error))


def publish_or_log(database: Database, rules: Mapping[str, Any]) -> bool:
    """Publish the rules for runs that are made in SQL; return whether they are."""
    try:
        with database.transaction() as session:
            publish(session, rules)
    except PostgresUnavailable as error:
        log.warning("Postgres is unavailable: %s", error)
        return False
    except Exception as error:  # noqa: BLE001 - it is tried again; sweeps must go on
        log.error("the rules for runs made in SQL are not published: %s, %s", fault_of(error), place_of(error))
        return False
    return True


def _fail_overdue(database: Database, run_hours: float, stage_hours: float) -> None:
    with database.transaction() as session:
        overdue = find_overdue(session, run_hours, stage_hours)
    for late in overdue:
        try:
            _fail(database, late)
        except StepFailed as failed:
            # The sweep goes on with the other runs; this one is found again after a pause.
            log.error("run %s, stage %s: %s", late.run_id, late.error.stage, failed)
            _note(database, late, failed)


@contextmanager
def _failing() -> Iterator[None]:
    """Raise `StepFailed` for an error that concerns one run only, such as a lock that somebody else holds."""
    try:
        with step(Step.FAIL):
            yield
    except PostgresUnavailable as error:
        if error.sqlstate not in OF_ONE_STATEMENT:
            raise
        raise StepFailed(Step.FAIL, fault_of(error), place_of(error)) from None


def _fail(database: Database, late: Overdue) -> None:
    with _failing(), database.transaction() as session:
        failed = fail(session, late.run_id, late.error)
    if failed:
        log.error("run %s, stage %s: failed with %s", late.run_id, late.error.stage, late.error.code)


def _note(database: Database, late: Overdue, failed: StepFailed) -> None:
    try:
        with _failing(), database.transaction() as session:
            if run := lock_run(session, late.run_id):
                note_step(session, run, failed, late.error.stage)
    except StepFailed as error:
        log.error("run %s: its failure was not noted: %s", late.run_id, error)


def _send_chains(database: Database, stalled: Sequence[Stalled], *, lost_its_data: bool) -> None:
    """Send the chains and note which were sent. The next sweep finds the runs whose chain was not sent."""
    run_ids, sent = [run.run_id for run in stalled], 0
    try:
        for run in stalled:
            send_chain(run.run_id, run.preset)
            sent += 1
            log.info("run %s: sent the chain again", run.run_id)
    finally:
        if stalled:
            reason = {"reason": "the broker lost its data"} if lost_its_data else {}
            with database.transaction() as session:
                note_resent(session, run_ids[:sent], **reason)
                if not lost_its_data:
                    unmark_resent(session, run_ids[sent:])


def _send_exports(database: Database, run_ids: Sequence[UUID]) -> None:
    for sent, run_id in enumerate(run_ids):
        try:
            send_export(run_id)
        except DispatchFailed:
            with database.transaction() as session:
                unmark_asked(session, run_ids[sent:])
            raise
