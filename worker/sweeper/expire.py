"""Deletes what is older than the retention settings allow, in a thread of the sweeper.

The thread has connections of its own, since a large run or a disk that hangs must not delay the sweeps. Several
sweepers may expire the same run at once, and each may be killed at any point: what is left is deleted later.
"""

import errno
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import redis
from sqlalchemy.orm import Session

from models.artifact import EXPORT
from models.connections import IN_THE_BACKGROUND
from models.database import Database, open_database
from models.postgres_errors import OF_ONE_STATEMENT, PostgresUnavailable
from models.queries import artifacts_of_run
from models.redis_server import open_redis
from models.run import Run
from models.transitions import expire_run, leave_rows, lock_run, touch_run
from pipeline.hooks.expiry import delete_messages, delete_streams, delete_surplus
from pipeline.memory.lookups import FRESH_DAYS
from pipeline.privacy.retention import (
    BATCH,
    WAITING_DAYS,
    delete_answers,
    delete_contacts,
    delete_lookups,
    delete_verifications,
    find_expired,
    may_wait,
    retract,
)
from pipeline.results.links import Links
from pipeline.runs import live_state
from pipeline.runs.trouble import fault_of, place_of
from pipeline.storage import Bucket, Folder, Storage, open_storage
from pipeline.storage.bucket import StorageFault
from pipeline.uploads import expiry
from settings import Settings
from worker.process import REDIS_TIMEOUT_S, freshness_of
from worker.sweeper.bucket import delete_due
from worker.sweeper.weeks import keep_weeks

LOOK_EVERY_S = 60.0
WEEKS_EVERY_S = 3600.0
LATER_S = 900.0
"""The pause after a look in which a run could not be expired. Each failure is logged each time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Expirer:
    """What expiring needs. Once `stopping` is set, it stops after the current step."""

    settings: Settings
    database: Database
    live_copies: redis.Redis
    storage: Storage
    stopping: threading.Event
    storage_failed: threading.Event = field(default_factory=threading.Event)
    """Set for the rest of a look in which a bucket failed: no other run waits for it as long."""


def keep_expiring(settings: Settings, stopping: threading.Event) -> None:
    """Look at once, then each minute, until `stopping` is set; after the weeks each hour."""
    database = open_database(
        settings.database_url, pool_size=1, application_name="growth-expirer", timeouts=IN_THE_BACKGROUND
    )
    live_copies = open_redis(settings.redis_url, REDIS_TIMEOUT_S)
    storage = open_storage(settings.export_storage, settings.export_dir)
    expirer = Expirer(settings, database, live_copies, storage, stopping)
    pause, weeks_due_at = 0.0, 0.0
    while not stopping.wait(pause):
        pause = LOOK_EVERY_S if _succeeds(expire_due, expirer) else LATER_S
        if time.monotonic() >= weeks_due_at and _succeeds(expire_weeks, expirer):
            weeks_due_at = time.monotonic() + WEEKS_EVERY_S
    database.close()


def expire_due(expirer: Expirer) -> bool:
    """Delete everything older than `RETENTION_DAYS`. Returns whether every run could be expired.

    Raises `PostgresUnavailable`.
    """
    days = expirer.settings.retention_days
    expirer.storage_failed.clear()
    with expirer.database.transaction() as session:
        due = find_expired(session, days)
    succeeded = [_expire_or_log(expirer, run_id) for run_id in due]
    _delete_all(expirer, delete_answers, days)
    _delete_all(expirer, delete_verifications, min(days, freshness_of(expirer.settings).longest))
    _delete_all(expirer, delete_lookups, min(days, FRESH_DAYS))
    _expire_hooks(expirer)
    _expire_uploads(expirer)
    return all(succeeded)


def _expire_hooks(expirer: Expirer) -> None:
    """The log of deliveries, and after it what is known of runs that are no longer in it."""
    for delete_batch in (delete_messages, delete_surplus, delete_streams):
        _delete_all(expirer, delete_batch, expirer.settings.hook_log_days)


def _expire_uploads(expirer: Expirer) -> None:
    """After the runs: an upload that only they used expires with them."""
    with expirer.database.transaction() as session:
        discarded, used = expiry.discard_expired(session), expiry.with_needless_bytes(session)
    for upload_id in used:
        if _delete_of_upload(expirer, upload_id, expiry.delete_pieces):
            with expirer.database.transaction() as session:
                expiry.note_deleted_bytes(session, upload_id)
    for upload_id in discarded:
        if all(_delete_of_upload(expirer, upload_id, each) for each in (expiry.delete_pieces, expiry.delete_rows)):
            with expirer.database.transaction() as session:
                expiry.delete_upload(session, upload_id)
            log.info("upload %s: it has expired and is deleted", upload_id)


def _delete_of_upload(
    expirer: Expirer, upload_id: UUID, delete_batch: Callable[[Session, UUID, int], int | None]
) -> bool:
    """Delete what an upload has, batch by batch; return whether all is gone."""
    last: int | None = -1
    while last is not None:
        if expirer.stopping.is_set():
            return False
        with expirer.database.transaction() as session:
            last = delete_batch(session, upload_id, last)
    return True


def expire_weeks(expirer: Expirer) -> bool:
    """Drop the weeks whose runs have expired, and make those to come. False if tables were in use.

    Raises `PostgresUnavailable`.
    """
    settings = expirer.settings
    return keep_weeks(expirer.database, settings.retention_days, settings.timeline_days)


def _delete_all(expirer: Expirer, delete_batch: Callable[[Session, float], int], days: float) -> None:
    while not expirer.stopping.is_set():
        with expirer.database.transaction() as session:
            if delete_batch(session, days) < BATCH:
                return


def _succeeds(look: Callable[[Expirer], bool], expirer: Expirer) -> bool:
    try:
        return look(expirer)
    except PostgresUnavailable as error:
        log.warning("nothing expires: Postgres is unavailable: %s", error)
    except Exception as error:  # noqa: BLE001 - a bug of ours must not end the thread
        log.error("nothing expires: %s, %s", fault_of(error), place_of(error))
    return False


def _expire_or_log(expirer: Expirer, run_id: UUID) -> bool:
    try:
        _expire(expirer, run_id)
    except OSError as error:
        log.warning("run %s: not expired, its export files can't be deleted: %s", run_id, error)
        return False
    except redis.RedisError as error:
        log.warning("run %s: not expired, its live copy can't be replaced: %s", run_id, type(error).__name__)
        return False
    except PostgresUnavailable as error:
        if error.sqlstate not in OF_ONE_STATEMENT:
            raise
        log.warning("run %s: not expired, its rows are locked or too many: %s", run_id, error)
        return False
    return True


def _expire(expirer: Expirer, run_id: UUID) -> None:
    """Delete files first, then rows, and set `expired_at` last. Raises `OSError` and `redis.RedisError`.

    Rows that can wait for their partition are left to it.
    """
    if expirer.stopping.is_set():
        return
    run, waits = _retract(expirer, run_id)
    if run is None:
        return
    if isinstance(expirer.storage, Bucket):
        _delete_files(expirer, expirer.storage, run_id)
    if waits:
        with expirer.database.transaction() as session:
            lock_run(session, run_id)
            leave_rows(session, run_id, WAITING_DAYS)
        log.info("run %s: its data has expired, and is deleted with its week", run_id)
        return
    for first_position in range(0, run.contact_count, BATCH):
        with expirer.database.transaction() as session:
            delete_contacts(session, run_id, first_position)
        if expirer.stopping.is_set():
            return
    with expirer.database.transaction() as session:
        lock_run(session, run_id)
        expire_run(session, run_id)
        state = live_state.build(
            session, session.get_one(Run, run_id, populate_existing=True), Links.of(expirer.settings)
        )
    live_state.publish(expirer.live_copies, state, expirer.settings.live_state_seconds)
    log.info("run %s: its data has expired and is deleted", run_id)


def _retract(expirer: Expirer, run_id: UUID) -> tuple[Run | None, bool]:
    """Retract exports, results and the live copy; none if the run has expired already. Says whether its rows wait."""
    settings = expirer.settings
    with expirer.database.transaction() as session:
        run = lock_run(session, run_id)
        if run is None or run.expired_at:
            return None, False
        # Under the lock: whoever is writing exports has recorded them already, or will find that none are wanted.
        if isinstance(expirer.storage, Folder):
            _remove_exports(expirer.storage, session, run_id)
        retract(session, run)
        waits = may_wait(session, run, settings.retention_days)
        state = live_state.build(session, touch_run(session, run_id, 0), Links.of(settings))
    live_state.store(expirer.live_copies, state, settings.live_state_seconds)
    return run, waits


def _delete_files(expirer: Expirer, bucket: Bucket, run_id: UUID) -> None:
    """Delete a run's files, after it was retracted. Raises `StorageFault`."""
    if expirer.storage_failed.is_set():
        raise StorageFault("failed_before", f"{bucket} failed a moment ago")
    try:
        delete_due(expirer.database, bucket, run_id)
    except StorageFault:
        expirer.storage_failed.set()
        raise


def _remove_exports(folder: Folder, session: Session, run_id: UUID) -> None:
    directory = folder.directory
    wanted = any(artifact.kind == EXPORT for artifact in artifacts_of_run(session, run_id))
    if wanted and not directory.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "EXPORT_DIR is no directory here", str(directory))
    if wanted and not folder.has_files(run_id):
        log.warning("run %s: no export files in %s: is that the directory of the workers?", run_id, directory)
    folder.remove_all_but((), run_id)
