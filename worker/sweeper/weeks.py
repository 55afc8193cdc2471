"""Keeps the partitions of what grows with contacts: makes weeks ahead, and drops those that have expired.

A week is dropped in steps, each of which may be repeated: its partitions are emptied, its runs noted as expired, and
the empty partitions dropped. Emptying waits only for those who use that week, and so frees the space at once. Dropping
waits for whoever reads any week, such as a long export: it is tried again until nobody does.
"""

import logging
from collections.abc import Callable, Sequence
from uuid import UUID

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.database import Database
from models.partitions import (
    DATA,
    FIRST,
    TIMELINE,
    Partition,
    are_there,
    drop,
    make_weeks,
    names_of,
    take_turn,
    truncate,
    weeks_over,
)
from models.postgres_errors import INSUFFICIENT_PRIVILEGE, OF_ONE_STATEMENT, PostgresUnavailable, sqlstate_of
from models.transitions import expire_waiting_runs
from pipeline.privacy.retention import lock_expired, lock_retracted

RUNS_AT_ONCE = 1000

Week = Sequence[Partition]

log = logging.getLogger(__name__)


def keep_weeks(database: Database, retention_days: float, timeline_days: float) -> bool:
    """Make the weeks to come and drop those whose runs have expired. False if tables were in use: try again soon.

    Raises `PostgresUnavailable`.
    """
    try:
        made = make_weeks(database)
        data_dropped = drop_data(database, retention_days)
        return drop_timelines(database, timeline_days) and made and data_dropped
    except DBAPIError as error:
        if sqlstate_of(error) != INSUFFICIENT_PRIVILEGE:
            raise
        log.warning(
            "partitions can't be made or dropped, since the sweeper's role does not own the tables: rows are deleted "
            "one by one; run `growth migrate` every few weeks as the owner"
        )
    return True


def drop_data(database: Database, days: float) -> bool:
    """Delete contacts, outcomes and deferrals of weeks whose runs have all expired. False if some are in use."""
    with database.transaction() as session:
        weeks = weeks_over(session, DATA, days)
    dropped = [_drop_data_of(database, week) for week in weeks]
    return all(dropped)


def drop_timelines(database: Database, days: float) -> bool:
    """Delete the timelines of weeks whose runs have expired. False if some are in use."""
    with database.transaction() as session:
        weeks = weeks_over(session, TIMELINE, days)
    dropped = [_change(database, week, lock_expired, drop) for week in weeks]
    return None not in dropped


def _drop_data_of(database: Database, week: Week) -> bool:
    emptied = _change(database, week, lock_retracted, truncate)
    if not emptied:
        return emptied is not None
    _note_expired(database, week)
    return _change(database, week, lock_retracted, drop) is not None


def _change(
    database: Database,
    week: Week,
    lock_if_over: Callable[[Session, Week], bool],
    change: Callable[[Session, Week], None],
) -> bool | None:
    """Change the partitions of a week if it is over and nobody else has dropped them. None if they are in use."""
    try:
        with database.transaction() as session:
            if not take_turn(session) or not are_there(session, week) or not lock_if_over(session, week):
                return False
            change(session, week)
    except PostgresUnavailable as error:
        if error.sqlstate not in OF_ONE_STATEMENT:
            raise
        log.info("%s: in use, deleted later", names_of(week))
        return None
    log.info("%s: %s", names_of(week), "dropped" if change is drop else "emptied")
    return True


def _note_expired(database: Database, week: Week) -> None:
    beyond, first = week[0].beyond, week[0].first or FIRST
    last: UUID | None = first
    while last is not None and beyond is not None:
        with database.transaction() as session:
            last = expire_waiting_runs(session, last, beyond, RUNS_AT_ONCE)
