"""What grows with contacts is stored by week: weeks are made ahead, and a statement touches its own week alone."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from models.database import Database, idle_transaction_allowed, open_database
from models.migrate import migrate
from models.partitions import (
    PARTITIONED,
    WEEK,
    WEEKS_AHEAD,
    drop,
    first_id,
    make_week,
    make_weeks,
    missing_weeks,
    partitions,
    take_turn,
    time_of,
    week_of,
)
from models.queries import first_results
from models.schema import new_id
from tests.clones import Clones
from tests.factories import LOOKUP, VERIFY, count, finish_chunk, found, leased_chunk, pending_run, started_run
from tests.large_runs import LargeRuns, large_runs
from tests.old_runs import clock_shows, homes_of, id_made_at
from tests.unit.models.test_linear import LINEAR, SAME

NOW = datetime.now(UTC)
THIS_WEEK = week_of(NOW)
OPENED = """
SELECT DISTINCT parent.relname || ' ' || child.relname
FROM pg_locks l
JOIN pg_inherits ON inhrelid = l.relation
JOIN pg_class parent ON parent.oid = inhparent AND parent.relkind = 'p'
JOIN pg_class child ON child.oid = inhrelid
WHERE l.pid = pg_backend_pid()
"""


def weeks(database: Database, table: str = "contacts") -> list[str]:
    """The names of a table's partitions, without its own name before them."""
    with database.transaction() as session:
        return [each.name.removeprefix(f"{table}_") for each in partitions(session, [table])]


def named(week: datetime) -> str:
    return f"{week:%Y_%m_%d}"


def ahead(last: int = WEEKS_AHEAD, first: int = 0) -> list[str]:
    return [named(THIS_WEEK + n * WEEK) for n in range(first, last + 1)]


def drop_last(database: Database, number: int) -> None:
    """As if time had passed: the last weeks are not made yet."""
    gone = ahead()[-number:]
    with database.transaction() as session:
        drop(session, [each for each in partitions(session) if each.name[-10:] in gone])


def worked_run(database: Database) -> UUID:
    run_id = started_run(database, count=2)
    finish_chunk(database, leased_chunk(database, run_id), [found(0), found(1)])
    return run_id


@given(st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_an_id_is_in_the_week_in_which_it_was_made(naive: datetime) -> None:
    time = naive.replace(tzinfo=UTC)
    run_id = id_made_at(time)
    week = week_of(time)

    assert first_id(week) <= run_id < first_id(week + WEEK)
    assert abs(time_of(run_id) - time) < timedelta(milliseconds=1)
    assert (week.weekday(), week.time()) == (0, datetime.min.time())


def test_a_new_id_is_in_this_week() -> None:
    assert first_id(week_of(datetime.now(UTC))) <= new_id() < first_id(week_of(datetime.now(UTC)) + WEEK)


def test_an_id_that_was_not_made_by_a_clock_has_no_time() -> None:
    assert time_of(UUID(int=2**128 - 1)) == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize("table", PARTITIONED)
def test_a_new_database_has_this_week_and_those_that_follow(database: Database, table: str) -> None:
    assert weeks(database, table) == [*ahead(), "default"]


def test_weeks_are_made_as_time_passes_and_not_twice(database: Database) -> None:
    drop_last(database, 3)
    assert weeks(database) == [*ahead(WEEKS_AHEAD - 3), "default"]

    assert make_weeks(database)

    assert [weeks(database, table) for table in PARTITIONED] == [[*ahead(), "default"]] * len(PARTITIONED)
    with database.transaction() as session:
        assert missing_weeks(session) == []
    assert make_weeks(database)


def test_migrating_makes_the_weeks_that_are_missing(database: Database) -> None:
    drop_last(database, 3)

    migrate(database)

    assert weeks(database) == [*ahead(), "default"]


def test_several_who_make_weeks_at_once_make_each_once(database: Database, database_url: str) -> None:
    drop_last(database, 5)
    others = [open_database(database_url, pool_size=1) for _ in range(4)]

    with ThreadPoolExecutor(len(others)) as pool:
        assert all(pool.map(make_weeks, others))
    for other in others:
        other.close()

    assert make_weeks(database)
    assert weeks(database) == [*ahead(), "default"]


def test_rows_of_a_week_that_nobody_made_are_kept_in_the_default_partition_and_so_is_that_week(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """As after months without a sweeper."""
    missed = THIS_WEEK + (WEEKS_AHEAD - 1) * WEEK
    drop_last(database, 3)
    with clock_shows(missed + timedelta(days=2)):
        run_id = worked_run(database)
    assert homes_of(database, run_id) == {"default"}

    with caplog.at_level(logging.WARNING):
        assert make_weeks(database)

    assert [named(missed)] == [week for week in ahead() if week not in weeks(database)]
    assert f"{missed:%Y-%m-%d}" in caplog.text
    with clock_shows(missed + timedelta(days=3)):
        assert homes_of(database, worked_run(database)) == {"default"}
    with database.transaction() as session:
        assert len(first_results(session, run_id, 2, LOOKUP, VERIFY)) == 2


def test_a_large_default_partition_is_not_read_while_it_is_locked(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a year without a sweeper. The weeks of its rows, and the next one, stay in it."""
    drop_last(database, WEEKS_AHEAD + 1)
    run_id = worked_run(database)
    assert homes_of(database, run_id) == {"default"}

    with closing(open_database(database_url, pool_size=1)) as watched, notices_of(watched) as messages:
        assert make_weeks(watched, much=0)

    assert sum("is implied by existing constraints" in message for message in messages) >= len(PARTITIONED)
    assert weeks(database) == [*ahead(first=2), "default"]
    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM pg_constraint WHERE conname = 'none_of_weeks'") == 0
    assert homes_of(database, worked_run(database)) == {"default"}


def test_what_is_left_of_a_reading_that_was_cut_off_is_no_obstacle(database: Database) -> None:
    drop_last(database, 3)
    with database.transaction() as session:
        session.execute(text("ALTER TABLE contacts_default ADD CONSTRAINT none_of_weeks CHECK (true) NOT VALID"))

    assert make_weeks(database, much=-1)

    assert weeks(database) == [*ahead(), "default"]


@contextmanager
def notices_of(database: Database) -> Iterator[list[str]]:
    """What Postgres tells a client about its steps."""
    messages: list[str] = []

    def listen(connection: psycopg.Connection, _record: object) -> None:
        connection.execute("SET client_min_messages = debug1")
        connection.commit()
        connection.add_notice_handler(lambda notice: messages.append(notice.message_primary or ""))

    event.listen(database.engine, "connect", listen)
    yield messages


def test_whoever_reads_another_week_does_not_hold_up_the_making_of_weeks(database: Database) -> None:
    """As a long export does."""
    run_id = worked_run(database)
    drop_last(database, 2)

    with database.transaction() as exporting, idle_transaction_allowed(exporting):
        assert first_results(exporting, run_id, 2, LOOKUP, VERIFY)
        assert make_weeks(database)

    assert weeks(database) == [*ahead(), "default"]


def test_whoever_reads_all_weeks_holds_the_making_up_and_nobody_waits(database: Database) -> None:
    """As `pg_dump` does."""
    drop_last(database, 2)

    with database.transaction() as dumping, idle_transaction_allowed(dumping):
        dumping.execute(text("SELECT count(*) FROM contacts"))
        assert not make_weeks(database)
        worked_run(database)

    assert make_weeks(database)
    assert weeks(database) == [*ahead(), "default"]


@pytest.mark.parametrize("days", [-400, -100, -8, 8, 100, 400, 20_000])
def test_a_run_whose_clock_is_wrong_by_days_is_worked_like_any_other(database: Database, days: int) -> None:
    with clock_shows(NOW + timedelta(days=days)):
        run_id = worked_run(database)

    with database.transaction() as session:
        assert len(first_results(session, run_id, 2, LOOKUP, VERIFY)) == 2
        assert count(session, "SELECT count(*) FROM outcomes WHERE run_id = :id", id=run_id) == 2


def test_runs_at_both_sides_of_midnight_between_two_weeks_are_in_two_partitions(database: Database) -> None:
    midnight = THIS_WEEK + WEEK
    homes = []
    for moment in (midnight - timedelta(milliseconds=1), midnight):
        with clock_shows(moment):
            homes.append(homes_of(database, worked_run(database)))

    assert homes == [{named(THIS_WEEK)}, {named(midnight)}]


@pytest.fixture(scope="module")
def opened(clones: Clones) -> Iterator[dict[str, set[str]]]:
    """The partitions that each step of a run's life opens, triggers and keys included, among many weeks."""
    with clones.new() as url, closing(open_database(url, pool_size=1)) as database:
        with database.transaction() as session:
            assert take_turn(session)
            for n in range(1, 14):
                assert make_week(session, THIS_WEEK - n * WEEK)
        large = large_runs(database, 1_000)
        yield {step: opened_by(database, step, large) for step in SAME | LINEAR}


def opened_by(database: Database, step: str, large: LargeRuns) -> set[str]:
    with Session(database.engine, expire_on_commit=False) as session:
        (SAME | LINEAR)[step](session, large)
        session.flush()
        names = set(session.scalars(text(OPENED)))
        session.rollback()
        return names


@pytest.mark.parametrize("step", SAME | LINEAR)
def test_a_step_opens_no_partition_but_those_of_its_run(opened: dict[str, set[str]], step: str) -> None:
    """Otherwise it would be planned and locked for each week that there is."""
    weeks_of_runs = [named(THIS_WEEK)]
    if step == "find whom to erase":
        weeks_of_runs += ["default"]  # the ids of other runs of the account are random
    assert opened[step] <= {f"{table} {table}_{week}" for table in PARTITIONED for week in weeks_of_runs}


def test_that_a_step_opens_its_partition_is_seen(opened: dict[str, set[str]]) -> None:
    assert len(opened["work a chunk of look-ups"]) == len(PARTITIONED)


def test_a_statement_that_names_no_run_opens_all_weeks(database: Database) -> None:
    pending_run(database)
    with database.transaction() as session:
        session.execute(text("SELECT count(*) FROM contacts"))
        assert len(set(session.scalars(text(OPENED)))) == WEEKS_AHEAD + 2
