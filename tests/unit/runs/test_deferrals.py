"""Deferred contacts wait in Postgres: no worker holds them, other chunks go on, and the sweeper waits as well."""

from uuid import UUID

from sqlalchemy import text

from models.database import Database
from models.queries import events_of_run
from models.run import Run
from models.schema import new_id
from pipeline.outcomes import Deferral, Reason
from pipeline.privacy.erasure import Wanted, erase_contacts
from pipeline.runs import chunks, live_state, stalled
from pipeline.runs.chunks import Lease
from pipeline.runs.deferrals import waiting
from tests.factories import LEASE_S, count, expire, finish_chunk, found, lease_chunk, leased_chunk, started_run

SECONDS_UNTIL_DUE = "SELECT extract(epoch FROM coalesce(parked_until, resend_at) - now()) FROM runs"


def defer(database: Database, lease: Lease, *deferrals: Deferral) -> None:
    with database.transaction() as session:
        chunks.record(session, lease, [], LEASE_S)
        chunks.defer(session, lease, deferrals)


def greylisted(position: int, seconds: float = 300) -> Deferral:
    return Deferral(position, seconds, Reason.GREYLISTED)


def let_time_pass(database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE run_chunks SET not_before = now() WHERE not_before IS NOT NULL"))
        session.execute(text("UPDATE runs SET resend_at = now(), parked_until = NULL"))


def found_stalled(database: Database) -> list[UUID]:
    with database.transaction() as session:
        return [run.run_id for run in stalled.find_stalled(session)]


def test_a_chunk_that_waits_is_not_leased_and_the_others_are(database: Database) -> None:
    run_id = started_run(database, count=4, chunk_size=2)
    defer(database, leased_chunk(database, run_id), greylisted(0), greylisted(1))

    assert leased_chunk(database, run_id).number == 1
    assert lease_chunk(database, run_id) is None


def test_a_chunk_that_waited_is_leased_again_when_its_time_has_come(database: Database) -> None:
    run_id = started_run(database, count=2, chunk_size=2)
    defer(database, leased_chunk(database, run_id), greylisted(1))
    let_time_pass(database)

    lease = leased_chunk(database, run_id)

    with database.transaction() as session:
        assert [contact.deferrals for contact in chunks.load(session, lease).contacts] == [0, 1]


def test_a_chunk_whose_time_has_come_goes_before_untried_ones(database: Database) -> None:
    run_id = started_run(database, count=6, chunk_size=2)
    first = leased_chunk(database, run_id)
    defer(database, leased_chunk(database, run_id), greylisted(2))
    let_time_pass(database)
    expire(database, first)

    assert [leased_chunk(database, run_id).number for _ in range(3)] == [0, 1, 2]


def test_an_erased_contact_is_not_counted_as_waiting(database: Database) -> None:
    run_id = started_run(database, count=4, chunk_size=2)
    defer(database, leased_chunk(database, run_id), greylisted(0), greylisted(1))
    defer(database, leased_chunk(database, run_id), greylisted(2), greylisted(3))
    wanted = Wanted()

    with database.transaction() as session:
        erase_contacts(session, run_id, 0, [1], wanted, new_id())

    with database.transaction() as session:
        wait = waiting(session, run_id)
    assert wait is not None
    assert wait.contacts == 3


def test_a_contact_that_is_deferred_again_is_counted(database: Database) -> None:
    run_id = started_run(database, count=1, chunk_size=1)

    for _ in range(3):
        defer(database, leased_chunk(database, run_id), greylisted(0))
        let_time_pass(database)

    with database.transaction() as session:
        (contact,) = chunks.load(session, leased_chunk(database, run_id)).contacts
    assert contact.deferrals == 3


def test_waiting_is_no_failed_attempt(database: Database) -> None:
    run_id = started_run(database, count=3, chunk_size=3)

    for _ in range(5):
        defer(database, leased_chunk(database, run_id), greylisted(0))
        let_time_pass(database)

    lease = leased_chunk(database, run_id)
    assert (lease.first_position, lease.last_position, lease.is_poison) == (0, 2, False)


def test_the_sweeper_leaves_a_run_alone_while_all_that_is_left_of_it_waits(database: Database) -> None:
    run_id = started_run(database, count=2, chunk_size=2)
    defer(database, leased_chunk(database, run_id), greylisted(0, seconds=60), greylisted(1, seconds=300))

    with database.transaction() as session:
        seconds = session.execute(text(SECONDS_UNTIL_DUE)).scalar_one()
    assert 55 < float(seconds) <= 60
    assert found_stalled(database) == []
    let_time_pass(database)
    assert found_stalled(database) == [run_id]


def test_a_run_is_parked_until_the_first_of_its_chunks_is_due(database: Database) -> None:
    run_id = started_run(database, count=2, chunk_size=1)
    defer(database, leased_chunk(database, run_id), greylisted(0, seconds=60))
    defer(database, leased_chunk(database, run_id), greylisted(1, seconds=900))

    with database.transaction() as session:
        seconds = session.execute(text(SECONDS_UNTIL_DUE)).scalar_one()
    assert 50 < float(seconds) <= 60


def test_a_run_is_parked_as_well_when_the_last_chunk_that_was_at_work_is_done(database: Database) -> None:
    run_id = started_run(database, count=2, chunk_size=1)
    waits, works = leased_chunk(database, run_id), leased_chunk(database, run_id)
    defer(database, waits, greylisted(0, seconds=60))

    finish_chunk(database, works, [found(1)])

    with database.transaction() as session:
        seconds = session.execute(text(SECONDS_UNTIL_DUE)).scalar_one()
    assert 50 < float(seconds) <= 60


def test_a_run_with_other_work_is_not_parked(database: Database) -> None:
    run_id = started_run(database, count=4, chunk_size=2)
    defer(database, leased_chunk(database, run_id), greylisted(0), greylisted(1))

    with database.transaction() as session:
        seconds = session.execute(text(SECONDS_UNTIL_DUE)).scalar_one()
    assert float(seconds) <= LEASE_S


def test_deferred_contacts_are_shown_to_readers_and_in_the_timeline(database: Database) -> None:
    run_id = started_run(database, count=3, chunk_size=3)
    lease = leased_chunk(database, run_id)
    with database.transaction() as session:
        chunks.record(session, lease, [found(0)], LEASE_S)
        chunks.defer(session, lease, [greylisted(1), greylisted(2)])

    with database.transaction() as session:
        run = session.get_one(Run, run_id)
        wait = waiting(session, run_id)
        assert wait is not None
        assert wait.contacts == 2
        assert "2 contacts wait until mail servers" in live_state.build(session, run).body
        (event,) = [event for event in events_of_run(session, run_id) if event.kind == "chunk_deferred"]
    assert event.detail == {"chunk": 0, "contacts": 2, "seconds": 300, "reasons": ["greylisted"]}


def test_a_contact_whose_time_has_come_is_not_counted_as_waiting(database: Database) -> None:
    run_id = started_run(database, count=1, chunk_size=1)
    defer(database, leased_chunk(database, run_id), greylisted(0))
    let_time_pass(database)

    with database.transaction() as session:
        assert waiting(session, run_id) is None


def test_a_contact_deferred_twice_waits_until_the_later_time(database: Database) -> None:
    run_id = started_run(database, count=1, chunk_size=1)
    defer(database, leased_chunk(database, run_id), greylisted(0, seconds=60))
    let_time_pass(database)
    defer(database, leased_chunk(database, run_id), greylisted(0, seconds=900))

    with database.transaction() as session:
        wait = waiting(session, run_id)
        now = session.execute(text("SELECT now()")).scalar_one()
    assert wait is not None
    assert 800 < (wait.until - now).total_seconds() <= 900


def test_of_a_deferred_chunk_only_contacts_without_an_outcome_are_counted_as_waiting(database: Database) -> None:
    run_id = started_run(database, count=2, chunk_size=2)
    defer(database, leased_chunk(database, run_id), greylisted(0), greylisted(1))
    let_time_pass(database)
    lease = leased_chunk(database, run_id)
    with database.transaction() as session:
        chunks.record(session, lease, [found(0)], LEASE_S)
    defer(database, lease, greylisted(1))

    with database.transaction() as session:
        wait = waiting(session, run_id)
    assert wait is not None
    assert wait.contacts == 1


def test_a_contact_with_an_outcome_is_not_counted_as_waiting(database: Database) -> None:
    run_id = started_run(database, count=1, chunk_size=1)
    defer(database, leased_chunk(database, run_id), greylisted(0))
    let_time_pass(database)
    lease = leased_chunk(database, run_id)

    with database.transaction() as session:
        chunks.record(session, lease, [found(0)], LEASE_S)
        assert waiting(session, run_id) is None
        assert count(session, "SELECT count(*) FROM outcomes") == 1
