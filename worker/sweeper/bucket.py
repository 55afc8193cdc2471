"""Deletes the files in a bucket that nobody hands out, in a thread of the sweeper.

A folder needs none of this: whoever lets its files go deletes them. Several sweepers may delete at once.
"""

import logging
import threading
from collections.abc import Callable
from functools import partial
from uuid import UUID

from models.connections import IN_THE_BACKGROUND
from models.database import Database, open_database
from models.postgres_errors import PostgresUnavailable
from pipeline.results import stored_files
from pipeline.runs.trouble import fault_of, place_of
from pipeline.storage import Bucket
from pipeline.storage.bucket import StorageFault
from settings import Settings

LOOK_EVERY_S = 5.0
LATER_S = 60.0
"""The pause after a look that failed."""

log = logging.getLogger(__name__)


def keep_deleting(settings: Settings, bucket: Bucket, stopping: threading.Event) -> None:
    """Note files that were copied from a folder; then look at once and every few seconds, until `stopping` is set."""
    database = open_database(
        settings.database_url, pool_size=1, application_name="growth-deleter", timeouts=IN_THE_BACKGROUND
    )
    pause, has_adopted = 0.0, False
    while not stopping.wait(pause):
        has_adopted = has_adopted or _succeeds(partial(_adopt, database))
        pause = LOOK_EVERY_S if _succeeds(partial(delete_due, database, bucket)) else LATER_S
    database.close()


def delete_due(database: Database, bucket: Bucket, run_id: UUID | None = None) -> int:
    """Delete all files that are due, or those of one run; return how many.

    Raises `StorageFault`; the files are due again after a pause.
    """
    deleted = 0
    while True:
        with database.transaction() as session:
            keys = stored_files.take_due(session, run_id)
        if not keys:
            return deleted
        # No transaction waits for the network.
        bucket.delete(keys)
        with database.transaction() as session:
            stored_files.forget(session, keys)
        deleted += len(keys)
        log.info("%s files deleted from %s", len(keys), bucket)


def _adopt(database: Database) -> None:
    with database.transaction() as session:
        stored_files.adopt(session)


def _succeeds(step: Callable[[], object]) -> bool:
    """Do it; whether it went well. Its errors are logged: the next look comes in any case."""
    try:
        step()
    except PostgresUnavailable as error:
        log.warning("no files are deleted: Postgres is unavailable: %s", error)
    except StorageFault as error:
        log.warning("files of runs are not deleted: %s", error)
    except Exception as error:  # noqa: BLE001 - a bug of ours must not end the thread
        log.error("no files are deleted: %s, %s", fault_of(error), place_of(error))
    else:
        return True
    return False
