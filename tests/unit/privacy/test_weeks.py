"""Runs of a week that have all expired go with their partitions: what that costs, and who stands in its way."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import event, text

from models.database import Database, idle_transaction_allowed, open_database
from models.partitions import DATA, TIMELINE, WEEK, first_id, make_week, partitions, take_turn, week_of
from models.privacy_wire import PersonToErase
from models.queries import events_of_run, first_results
from models.run import Run
from models.schema import new_id
from pipeline.credits import RateCard
from pipeline.errors import RunStateConflict
from pipeline.privacy.erase_people import erase_people
from pipeline.privacy.retention import WAITING_DAYS, find_expired
from pipeline.runs.create import create_run
from pipeline.runs.retry import retry_run
from tests.clones import Clones, run_on_server, url_of
from tests.factories import LOOKUP, VERIFY, account, count, order, owner_of, started_run
from tests.large_runs import stop_autovacuum
from tests.old_runs import (
    RETENTION_DAYS,
    DoomedDatabase,
    Killed,
    OldRuns,
    OvertakenDatabase,
    all_copies,
    all_rows,
    clock_shows,
    personal_in,
    rows_of,
)
from worker.sweeper.expire import expire_due, expire_weeks
from worker.sweeper.weeks import drop_data, drop_timelines, keep_weeks

DAY = timedelta(days=1)
NOW = datetime.now(UTC)
OLD_WEEK = week_of(NOW) - 15 * WEEK
"""Retention has ended for all of its runs, whatever day it is."""
END_OF_WEEK = OLD_WEEK + WEEK
ROWS = {"contacts", "outcomes"}


def days_since(moment: datetime) -> float:
    return (datetime.now(UTC) - moment) / DAY


def make(database: Database, *weeks: datetime) -> None:
    with database.transaction() as session:
        assert take_turn(session)
        for week in weeks:
            assert make_week(session, week)


@pytest.fixture(scope="module")
def clones(postgres_url: str, template_database: str) -> Clones:
    """Of a database that was in use when the old runs were made."""
    url = url_of(postgres_url, "growth_template_in_use")
    run_on_server(postgres_url, f"CREATE DATABASE growth_template_in_use TEMPLATE {template_database}")
    with closing(open_database(url, pool_size=1)) as database:
        make(database, *(OLD_WEEK + n * WEEK for n in range(15)))
    return Clones(postgres_url, "growth_template_in_use")


@pytest.fixture
def weekly(old_runs: OldRuns) -> OldRuns:
    """Old runs, each in the partitions of its week."""
    return old_runs


def run_of(weekly: OldRuns, made: datetime, took: timedelta = timedelta(minutes=5), contacts: int = 3) -> UUID:
    with clock_shows(made):
        return weekly.completed_run(contacts, days_since(made + took))


def tables_of_week(database: Database, week: datetime = OLD_WEEK) -> set[str]:
    with database.transaction() as session:
        return {each.parent for each in partitions(session) if each.has(first_id(week))}


def is_expired(database: Database, run_id: UUID) -> bool:
    with database.transaction() as session:
        return session.get_one(Run, run_id).expired_at is not None


def drop_weeks(weekly: OldRuns, database: Database | None = None) -> bool:
    return drop_data(database or weekly.database, RETENTION_DAYS)


def test_rows_wait_for_the_end_of_their_week_and_then_the_week_is_dropped(weekly: OldRuns) -> None:
    runs = [run_of(weekly, OLD_WEEK + DAY), run_of(weekly, END_OF_WEEK - DAY)]

    assert expire_due(weekly.expirer())

    assert weekly.files() == []
    assert [set(rows_of(weekly.database, run_id)) & ROWS for run_id in runs] == [ROWS, ROWS]
    assert expire_weeks(weekly.expirer())
    assert personal_in(all_rows(weekly.database)) == []
    assert [set(rows_of(weekly.database, run_id)) for run_id in runs] == [
        {"credit_ledger", "run_events", "run_stages"}
    ] * 2
    assert tables_of_week(weekly.database) == set(TIMELINE)
    with weekly.database.transaction() as session:
        assert [events_of_run(session, run_id)[-1].kind for run_id in runs] == ["expired", "expired"]
        assert find_expired(session, RETENTION_DAYS) == []


def test_clients_lose_access_at_once(weekly: OldRuns) -> None:
    run_id = run_of(weekly, OLD_WEEK + DAY)

    expire_due(weekly.expirer())

    state = weekly.state(run_id)
    assert "Its data has expired" in state["progress"]["message"]
    assert [state[key] for key in ("result_handles", "artifact_handles", "export_handles")] == [[], [], []]
    expire_weeks(weekly.expirer())
    assert weekly.state(run_id) == state | {"progress": weekly.state(run_id)["progress"]}


def test_rows_wait_only_when_the_copy_in_redis_is_replaced(weekly: OldRuns) -> None:
    run_of(weekly, OLD_WEEK + DAY)
    away = redis.Redis(host="127.0.0.1", port=9, retry=Retry(NoBackoff(), 0))

    assert not expire_due(weekly.expirer(server=away))
    assert expire_due(weekly.expirer())

    assert personal_in(all_copies(weekly.redis)) == []


def test_a_run_whose_rows_wait_can_not_be_retried(weekly: OldRuns) -> None:
    with clock_shows(OLD_WEEK + DAY):
        run_id = weekly.stopped_run("cancelled", days_ago=days_since(OLD_WEEK + DAY))
    expire_due(weekly.expirer())

    with pytest.raises(RunStateConflict, match="has expired"), weekly.database.transaction() as session:
        retry_run(session, owner_of(weekly.database, run_id), run_id)


def test_a_week_in_which_one_run_has_data_that_may_be_seen_stays_whole(weekly: OldRuns) -> None:
    """It took longer than the others."""
    expired = run_of(weekly, OLD_WEEK + DAY)
    late = run_of(weekly, END_OF_WEEK - DAY, took=NOW - END_OF_WEEK - 80 * DAY)
    expire_due(weekly.expirer())

    assert drop_weeks(weekly)

    assert tables_of_week(weekly.database) >= set(DATA)
    assert set(rows_of(weekly.database, late)) & set(rows_of(weekly.database, expired)) >= ROWS
    assert weekly.state(late)["result_handles"]


def test_a_run_that_is_not_finished_keeps_its_week(weekly: OldRuns) -> None:
    with clock_shows(OLD_WEEK + DAY):
        run_id = started_run(weekly.database)

    assert drop_weeks(weekly)

    assert rows_of(weekly.database, run_id)["contacts"] == 3


def test_the_last_run_of_a_week_may_take_two_days_and_still_goes_with_its_week(weekly: OldRuns) -> None:
    run_id = run_of(weekly, END_OF_WEEK - timedelta(milliseconds=1), took=2 * DAY)

    expire_due(weekly.expirer())
    expire_weeks(weekly.expirer())

    assert is_expired(weekly.database, run_id)
    assert tables_of_week(weekly.database) == set(TIMELINE)


def test_rows_that_wait_for_too_long_are_deleted_one_by_one(weekly: OldRuns) -> None:
    waiting, late = run_of(weekly, OLD_WEEK + DAY), run_of(weekly, OLD_WEEK + DAY, took=NOW - OLD_WEEK - 80 * DAY)
    expire_due(weekly.expirer())
    with weekly.database.transaction() as session:
        latest = session.get_one(Run, waiting).delete_rows_at
        assert latest is not None
        assert abs(latest - datetime.now(UTC) - WAITING_DAYS * DAY) < timedelta(minutes=1)
        assert find_expired(session, RETENTION_DAYS) == []
        session.execute(text("UPDATE runs SET delete_rows_at = now() WHERE id = :id"), {"id": waiting})

    assert expire_due(weekly.expirer())

    assert is_expired(weekly.database, waiting)
    assert not ROWS & set(rows_of(weekly.database, waiting))
    assert set(rows_of(weekly.database, late)) >= ROWS


@pytest.mark.parametrize(("days", "waits"), [(29, False), (30, True)])
def test_with_a_short_retention_no_row_waits(weekly: OldRuns, days: int, waits: bool) -> None:
    run_id = run_of(weekly, OLD_WEEK + DAY)
    expirer = weekly.expirer()
    object.__setattr__(expirer, "settings", expirer.settings.model_copy(update={"retention_days": days}))

    expire_due(expirer)

    assert (set(rows_of(weekly.database, run_id)) >= ROWS) == waits


@pytest.mark.parametrize(
    "clock", [NOW - 400 * DAY, NOW + 400 * DAY, NOW + 10 * DAY], ids=["behind", "ahead", "10 days"]
)
def test_rows_of_a_run_whose_clock_was_wrong_do_not_wait(weekly: OldRuns, clock: datetime) -> None:
    with clock_shows(clock):
        run_id = weekly.completed_run()

    assert expire_due(weekly.expirer())

    assert is_expired(weekly.database, run_id)
    assert personal_in(all_rows(weekly.database)) == []


def test_a_run_that_is_made_by_a_clock_far_behind_keeps_its_week(weekly: OldRuns) -> None:
    run_of(weekly, OLD_WEEK + DAY)
    expire_due(weekly.expirer())
    with clock_shows(OLD_WEEK + DAY):
        new = started_run(weekly.database)

    expire_weeks(weekly.expirer())

    assert rows_of(weekly.database, new)["contacts"] == 3


def test_a_week_to_which_somebody_adds_a_run_is_not_dropped(weekly: OldRuns, database_url: str) -> None:
    run_of(weekly, OLD_WEEK + DAY)
    expire_due(weekly.expirer())
    owner = account(weekly.database).account_id

    with clock_shows(OLD_WEEK + DAY), weekly.database.transaction() as creating:
        run_id = create_run(creating, owner, order(3), rate_card=RateCard()).run_id
        with closing(open_database(database_url, pool_size=1)) as sweeper:
            assert not drop_weeks(weekly, sweeper)

    assert drop_weeks(weekly)
    assert rows_of(weekly.database, run_id)["contacts"] == 3


def test_a_run_whose_week_is_dropped_before_its_contacts_are_there_keeps_them(
    weekly: OldRuns, database_url: str
) -> None:
    expired = run_of(weekly, OLD_WEEK + DAY)
    expire_due(weekly.expirer())
    sweeper = open_database(database_url, pool_size=1)

    def drop_before_contacts(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO run_stages"):
            drop_weeks(weekly, sweeper)

    event.listen(weekly.database.engine, "before_cursor_execute", drop_before_contacts)
    with closing(sweeper), clock_shows(OLD_WEEK + DAY):
        run_id = started_run(weekly.database)

    assert is_expired(weekly.database, expired)
    assert tables_of_week(weekly.database) == set(TIMELINE)
    assert rows_of(weekly.database, run_id)["contacts"] == 3


def test_a_reader_of_another_week_only_keeps_the_empty_partitions(weekly: OldRuns) -> None:
    """As a long export does. The data is deleted all the same, and nobody waits."""
    expired, exported = run_of(weekly, OLD_WEEK + DAY), run_of(weekly, NOW - DAY)
    expire_due(weekly.expirer())

    with weekly.database.transaction() as exporting, idle_transaction_allowed(exporting):
        assert first_results(exporting, exported, 3, LOOKUP, VERIFY)
        assert not drop_weeks(weekly)
        assert is_expired(weekly.database, expired)
        assert not ROWS & set(rows_of(weekly.database, expired))
        assert tables_of_week(weekly.database) >= set(DATA)

    assert drop_weeks(weekly)
    assert tables_of_week(weekly.database) == set(TIMELINE)


def test_a_reader_of_the_week_delays_its_end_and_nobody_waits_behind(weekly: OldRuns) -> None:
    run_id = run_of(weekly, OLD_WEEK + DAY)
    expire_due(weekly.expirer())

    with ThreadPoolExecutor(1) as pool:
        with weekly.database.transaction() as reading, idle_transaction_allowed(reading):
            assert first_results(reading, run_id, 3, LOOKUP, VERIFY)
            dropping = pool.submit(drop_weeks, weekly)
            started = time.monotonic()
            while not dropping.done():
                assert rows_of(weekly.database, run_id)["contacts"] == 3
            assert time.monotonic() - started < 2
            assert not dropping.result()
        assert not is_expired(weekly.database, run_id)

    assert drop_weeks(weekly)
    assert is_expired(weekly.database, run_id)


def test_several_sweepers_at_once_drop_each_week_once(weekly: OldRuns, database_url: str) -> None:
    runs = [run_of(weekly, OLD_WEEK + DAY + hours * timedelta(hours=1)) for hours in range(4)]
    expire_due(weekly.expirer())
    databases = [open_database(database_url, pool_size=1) for _ in range(4)]
    errors: list[BaseException] = []

    def sweep(own: Database) -> None:
        try:
            keep_weeks(own, RETENTION_DAYS, 730)
        except BaseException as error:  # noqa: BLE001 - the test says what it was
            errors.append(error)

    threads = [threading.Thread(target=sweep, args=(own,)) for own in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own in databases:
        own.close()

    assert errors == []
    assert drop_weeks(weekly)
    assert tables_of_week(weekly.database) == set(TIMELINE)
    with weekly.database.transaction() as session:
        expired = "SELECT count(*) FROM run_events WHERE kind = 'expired'"
        assert count(session, expired) == len(runs)


def test_a_sweeper_that_comes_after_another_has_dropped_the_week_passes_over_it(weekly: OldRuns) -> None:
    run_of(weekly, OLD_WEEK + DAY)
    expire_due(weekly.expirer())

    late = OvertakenDatabase(weekly.database, lambda: drop_weeks(weekly))

    assert drop_weeks(weekly, late)
    assert tables_of_week(weekly.database) == set(TIMELINE)


@pytest.mark.parametrize("moment", ["before", "inside", "after"])
@pytest.mark.parametrize("at", range(5), ids=["find", "empty", "note", "noted", "drop"])
def test_a_sweeper_killed_at_any_point_leaves_a_week_that_the_next_one_ends(
    weekly: OldRuns, at: int, moment: str
) -> None:
    run_id = run_of(weekly, OLD_WEEK + DAY)
    expire_due(weekly.expirer())

    with pytest.raises(Killed):
        drop_weeks(weekly, DoomedDatabase(weekly.database, at, moment))

    assert drop_weeks(weekly)
    assert tables_of_week(weekly.database) == set(TIMELINE)
    assert personal_in(all_rows(weekly.database)) == []
    with weekly.database.transaction() as session:
        assert [event.kind for event in events_of_run(session, run_id)].count("expired") == 1


def test_a_person_can_be_erased_from_rows_that_wait(weekly: OldRuns) -> None:
    run_id = run_of(weekly, OLD_WEEK + DAY, contacts=1)
    owner = owner_of(weekly.database, run_id)
    expire_due(weekly.expirer())

    erased = erase_people(
        weekly.database,
        owner,
        [PersonToErase(email="given.family0@alpha.test")],
        suppress=False,
        on_change=lambda _run_id: None,
    )

    assert erased.contacts == 1
    assert "given.family0@" not in all_rows(weekly.database)
    assert expire_weeks(weekly.expirer())
    assert is_expired(weekly.database, run_id)


def test_timelines_of_a_week_go_after_their_own_time_and_runs_still_answer(weekly: OldRuns) -> None:
    run_id = run_of(weekly, OLD_WEEK + DAY)
    expire_due(weekly.expirer())
    days = days_since(END_OF_WEEK)

    assert drop_timelines(weekly.database, days - 1)
    assert tables_of_week(weekly.database) >= set(TIMELINE)  # its data has not been deleted yet

    assert drop_weeks(weekly)
    before = weekly.state(run_id)
    assert drop_timelines(weekly.database, days + 1)
    assert tables_of_week(weekly.database) == set(TIMELINE)
    assert drop_timelines(weekly.database, days - 1)
    assert tables_of_week(weekly.database) == set()
    assert weekly.state(run_id) == before
    with weekly.database.transaction() as session:
        assert events_of_run(session, run_id) == []


@pytest.fixture
def without_rights(database: Database) -> Iterator[Database]:
    """A role that may use the tables, and does not own them."""
    name = f"role_{new_id().hex}"
    with database.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN"))
        connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}"))
    opened = open_database(database.engine.url.set(username=name).render_as_string(hide_password=False), pool_size=1)
    yield opened
    opened.close()
    with database.engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {name}"))
        connection.execute(text(f"DROP ROLE {name}"))


def test_a_sweeper_that_may_not_change_tables_says_so_and_rows_are_deleted_one_by_one(
    weekly: OldRuns, without_rights: Database, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = run_of(weekly, OLD_WEEK + DAY)
    expire_due(weekly.expirer())

    with caplog.at_level(logging.WARNING):
        assert keep_weeks(without_rights, RETENTION_DAYS, 730)

    assert "growth migrate" in caplog.text
    assert set(rows_of(weekly.database, run_id)) >= ROWS
    with weekly.database.transaction() as session:
        session.execute(text("UPDATE runs SET delete_rows_at = now()"))
    assert expire_due(weekly.expirer())
    assert personal_in(all_rows(weekly.database)) == []


def test_dropping_a_week_writes_a_tenth_at_most_of_what_deleting_its_rows_does(weekly: OldRuns) -> None:
    contacts = 10_000
    dropped = run_of(weekly, OLD_WEEK + DAY, contacts=contacts)
    expire_due(weekly.expirer())
    with clock_shows(NOW - 400 * DAY):
        one_by_one = weekly.completed_run(contacts)
    stop_autovacuum(weekly.database)

    deleting = wal_of(weekly.database, lambda: expire_due(weekly.expirer()))
    dropping = wal_of(weekly.database, lambda: drop_weeks(weekly))

    assert is_expired(weekly.database, one_by_one)
    assert is_expired(weekly.database, dropped)
    assert dropping < deleting / 10


def wal_of(database: Database, does: Callable[[], object]) -> int:
    before = position(database)
    does()
    return position(database) - before


def position(database: Database) -> int:
    with database.transaction() as session:
        return count(session, "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")
