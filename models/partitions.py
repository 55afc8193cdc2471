"""Partitions: what grows with contacts is stored by the week in which its run was created.

A run's id begins with the time at which it was made (UUIDv7), so the id alone says in which week a row belongs. A week
whose runs have all expired is dropped as a whole, which writes a few pages, however many contacts it had.

Each table has three kinds of partitions: one for each week from Monday on (UTC); a *default* one for the ids of weeks
that nobody has made, such as those of a client's clock that is wrong by months; and, if it was filled before it was
partitioned, one with all that is *before* the first week. Weeks are made ahead by `growth migrate` and by the sweeper.

A statement should name the run's id as a parameter for each of these tables: then only one partition is planned, locked
and read. `tests/unit/models/test_partitions.py` sees to that.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Uuid, column, exists, select, table, text
from sqlalchemy.orm import Session

from models.connections import Timeouts
from models.database import Database, allow_any_time, limit_time
from models.postgres_errors import OF_ONE_STATEMENT, PostgresUnavailable

WEEK = timedelta(weeks=1)
WEEKS_AHEAD = 8
"""How long no sweeper need run until rows land in the default partition."""

DATA = ("contacts", "outcomes", "deferrals")
"""What is deleted when a run's retention ends."""
TIMELINE = ("run_events",)
PARTITIONED = (*DATA, *TIMELINE)

BRIEFLY = Timeouts(statement_s=600, lock_s=0.2)
"""How long a change of partitions waits for a lock: whoever wants the table next waits behind it."""

PARTITIONS_LOCK = 0x67726F78
"""The advisory lock of whoever changes partitions: two at once would only stand in each other's way."""

TAKE_TURN = text("SELECT pg_try_advisory_xact_lock(:lock)")
NOW = text("SELECT now()")
FIRST = UUID(int=0)

MUCH = 64 << 20
"""Bytes of a default partition that is not read under a lock: that takes some tens of milliseconds."""
NONE_OF_WEEKS = "none_of_weeks"
LARGEST_DEFAULT = text("""
SELECT max(pg_relation_size(CAST(parent || '_default' AS regclass))) FROM unnest(CAST(:tables AS text[])) AS parent
""")

# The bounds as Postgres prints them: FOR VALUES FROM ('…') TO ('…'), or DEFAULT.
PARTITIONS = text(r"""
SELECT parent.relname AS parent, child.relname AS name, bounds[1] AS first, bounds[2] AS beyond
FROM pg_inherits
JOIN pg_class parent ON parent.oid = inhparent
JOIN pg_class child ON child.oid = inhrelid,
LATERAL (
  SELECT regexp_match(pg_get_expr(child.relpartbound, child.oid), $$FROM \('?([^')]+)'?\) TO \('(.+)'\)$$) AS bounds
) AS b
WHERE inhparent = ANY(CAST(CAST(:tables AS text[]) AS regclass[]))
ORDER BY parent.relname, bounds[2]
""")

ARE_THERE = text("SELECT bool_and(to_regclass(name) IS NOT NULL) FROM unnest(CAST(:tables AS text[])) AS name")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: the ids from `first` (all, if none) up to `beyond`, which the default partition does not have."""

    parent: str
    name: str
    first: UUID | None
    beyond: UUID | None

    def has(self, run_id: UUID) -> bool:
        """Whether the rows of this run are in it."""
        return self.beyond is not None and (self.first or FIRST) <= run_id < self.beyond


def partitions(session: Session, tables: Sequence[str] = PARTITIONED) -> Sequence[Partition]:
    """All partitions of these tables, each table's oldest first and its default one last."""
    rows = session.execute(PARTITIONS, {"tables": list(tables)})
    return [Partition(row.parent, row.name, _id(row.first), _id(row.beyond)) for row in rows]


def week_of(time: datetime) -> datetime:
    """The Monday, in UTC, on which the week of this time begins."""
    day = time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


def first_id(time: datetime) -> UUID:
    """The smallest id that is made at this time or later."""
    milliseconds = (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return UUID(int=max(milliseconds, 0) << 80)


def time_of(run_id: UUID) -> datetime:
    """When an id was made, by the clock of whoever made it; the latest time there is, if it tells none."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=run_id.int >> 80)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def take_turn(session: Session) -> bool:
    """Keep others from changing partitions until the transaction ends; False if somebody else does so now.

    The transaction waits `BRIEFLY` for locks.
    """
    limit_time(session, BRIEFLY)
    return bool(session.scalar(TAKE_TURN, {"lock": PARTITIONS_LOCK}))


def missing_weeks(session: Session, weeks_ahead: int = WEEKS_AHEAD) -> Sequence[datetime]:
    """This week and those that follow, as far as a table lacks them, by the clock of the database."""
    this_week = week_of(session.execute(NOW).scalar_one())
    known = partitions(session)
    return [
        week
        for week in (this_week + n * WEEK for n in range(weeks_ahead + 1))
        if sum(partition.has(first_id(week)) for partition in known) < len(PARTITIONED)
    ]


def make_weeks(database: Database, much: int = MUCH) -> bool:
    """Make the weeks that are missing. False if a table is in use, and they should be made a little later.

    Attaching a partition reads the default one under a lock. If that has more than `much` bytes, it is read beforehand,
    without one.
    """
    with database.transaction() as session:
        weeks = missing_weeks(session)
        is_much = bool(weeks) and session.scalar(LARGEST_DEFAULT, {"tables": list(PARTITIONED)}) > much
    make = _make_beside_much if is_much else _make
    try:
        make(database, weeks)
    except PostgresUnavailable as error:
        if error.sqlstate not in OF_ONE_STATEMENT:
            raise
        log.info("the partitions of coming weeks are made later, the tables are in use")
        return False
    return True


def _make(database: Database, weeks: Sequence[datetime]) -> None:
    for week in weeks:
        with database.transaction() as session:
            if take_turn(session) and not make_week(session, week):
                log.warning("%s: rows of that week are in a default partition, and stay there", f"{week:%Y-%m-%d}")


def _make_beside_much(database: Database, weeks: Sequence[datetime]) -> None:
    """Make those of the weeks that begin in a week at the earliest.

    A CHECK says that the default partitions have none of their rows. Until they are made it also keeps such rows out,
    which only a clock that is wrong by as much would send.
    """
    with database.transaction() as session:
        coming = _rule_out(session, weeks) if take_turn(session) else ()
    if not coming:
        return
    for parent in PARTITIONED:
        with database.transaction() as session:
            allow_any_time(session)
            _change(session, f"ALTER TABLE {parent}_default VALIDATE CONSTRAINT {NONE_OF_WEEKS}")
    with database.transaction() as session:
        if take_turn(session):
            for week in coming:
                make_week(session, week)
            for parent in PARTITIONED:
                _change(session, f"ALTER TABLE {parent}_default DROP CONSTRAINT {NONE_OF_WEEKS}")


def _rule_out(session: Session, weeks: Sequence[datetime]) -> Sequence[datetime]:
    """Have the default partitions refuse the rows of coming weeks; returns those of which they have none."""
    earliest = session.execute(NOW).scalar_one() + WEEK
    _lock_defaults(session, PARTITIONED)
    coming: list[datetime] = []
    for week in reversed([week for week in weeks if week >= earliest]):
        if _any_has_rows(session, PARTITIONED, week):
            break
        coming.insert(0, week)
    if coming:
        outside = f"run_id < '{first_id(coming[0])}' OR run_id >= '{first_id(coming[-1] + WEEK)}'"
        for parent in PARTITIONED:
            _change(session, f"ALTER TABLE {parent}_default DROP CONSTRAINT IF EXISTS {NONE_OF_WEEKS}")
            _change(session, f"ALTER TABLE {parent}_default ADD CONSTRAINT {NONE_OF_WEEKS} CHECK ({outside}) NOT VALID")
    return coming


def make_week(session: Session, week: datetime) -> bool:
    """Make the partitions of a week where they are missing. False if a default partition has rows of that week.

    Those rows stay where they are, and so does what comes to them. Raises
    `models.postgres_errors.PostgresUnavailable` (55P03) if a table is in use.
    """
    first, beyond = first_id(week), first_id(week + WEEK)
    made = {partition.parent for partition in partitions(session) if partition.has(first)}
    missing = [parent for parent in PARTITIONED if parent not in made]
    # Attaching locks the default partitions in any case. Locked now, nothing of the week comes into them meanwhile.
    _lock_defaults(session, missing)
    if _any_has_rows(session, missing, week):
        return False
    for parent in missing:
        name = f"{parent}_{week:%Y_%m_%d}"
        # Not CREATE TABLE … PARTITION OF, which waits for whoever reads any partition of the table.
        _change(session, f"CREATE TABLE {name} (LIKE {parent} INCLUDING ALL EXCLUDING IDENTITY)")
        _change(session, f"ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{beyond}')")
    return True


def _lock_defaults(session: Session, parents: Sequence[str]) -> None:
    for parent in parents:
        _change(session, f"LOCK TABLE {parent}_default IN ACCESS EXCLUSIVE MODE")


def _any_has_rows(session: Session, parents: Sequence[str], week: datetime) -> bool:
    """Whether one of the default partitions has rows of a week."""
    return any(_has_rows(session, f"{parent}_default", first_id(week), first_id(week + WEEK)) for parent in parents)


def _has_rows(session: Session, name: str, first: UUID, beyond: UUID) -> bool:
    run_id = column("run_id", Uuid())
    of_week = exists().select_from(table(name, run_id)).where(run_id >= first, run_id < beyond)
    return bool(session.scalar(select(of_week)))


def _change(session: Session, statement: str) -> None:
    session.connection().exec_driver_sql(statement).close()


def weeks_over(session: Session, tables: Sequence[str], days: float) -> Sequence[Sequence[Partition]]:
    """The weeks that ended so many days ago, each with its partitions of these tables."""
    ended = session.execute(NOW).scalar_one() - timedelta(days=days)
    by_bounds: dict[tuple[UUID | None, UUID], list[Partition]] = {}
    for partition in partitions(session, tables):
        if partition.beyond and time_of(partition.beyond) <= ended:
            by_bounds.setdefault((partition.first, partition.beyond), []).append(partition)
    return list(by_bounds.values())


def are_there(session: Session, week: Sequence[Partition]) -> bool:
    """Whether nobody has dropped them since they were looked up. In one's turn, nobody can."""
    return bool(session.scalar(ARE_THERE, {"tables": [partition.name for partition in week]}))


def lock_alone(session: Session, week: Sequence[Partition]) -> None:
    """Wait for whoever uses these partitions, and keep others out until the transaction ends."""
    _change(session, f"LOCK TABLE {names_of(week)} IN ACCESS EXCLUSIVE MODE")


def truncate(session: Session, week: Sequence[Partition]) -> None:
    """Delete all rows of partitions at once."""
    _change(session, f"TRUNCATE {names_of(week)}")


def drop(session: Session, week: Sequence[Partition]) -> None:
    """Drop partitions. Waits for whoever uses *any* partition of their tables."""
    _change(session, f"DROP TABLE {names_of(week)}")


def names_of(week: Sequence[Partition]) -> str:
    """Their names, separated by commas."""
    return ", ".join(partition.name for partition in week)


def _id(bound: str | None) -> UUID | None:
    return UUID(bound) if bound and bound != "MINVALUE" else None
