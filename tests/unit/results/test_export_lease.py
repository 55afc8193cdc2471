"""One run of an account is exported at a time. What fails is tried again, ever more rarely, up to so many times."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database import Database
from models.events import EventKind
from models.pauses import doubling_pause
from models.queries import events_of_run
from models.run import Run
from models.run_chunk import COMPILE
from models.schema import new_id
from models.transitions import lock_run
from pipeline.errors import LeaseLost
from pipeline.privacy import erasure
from pipeline.privacy.erasure import Wanted
from pipeline.privacy.retention import retract
from pipeline.results import export_lease
from pipeline.results.export_lease import FIRST_PAUSE_S, LONGEST_PAUSE_S, MAX_ATTEMPTS, ExportLease, fail_export
from pipeline.runs import chunks, lifecycle, live_state
from pipeline.runs.lifecycle import refreshed
from pipeline.runs.trouble import Step, StepFailed
from tests.factories import LEASE_S, WORKER, account, leased_chunk, pending_run
from tests.meter import Meter

OTHER = "worker-2@test/2"

MORE_THAT_WAIT = """
INSERT INTO runs (id, account_id, pipeline_id, preset, status, contact_count, charged_contacts, extra_columns,
  required_fields, preview_rows, export_formats, charge_per_contact, rebate_per_unresolved, rebate_per_unverified,
  started_at, finished_at, export_retry_at)
SELECT gen_random_uuid(), r.account_id, r.pipeline_id, r.preset, r.status, 1, 1, '[]', '[]', 0, r.export_formats, 4, 4,
  0, now(), now(), now() - interval '1 second'
FROM runs r, generate_series(1, CAST(:more AS int)) WHERE r.id = :run_id
"""


def stopped_run(database: Database, account_id: UUID | None = None, formats: tuple[str, ...] = ("csv",)) -> UUID:
    """Cancelled, without its export files."""
    run_id = pending_run(database, account_id=account_id, export_formats=list(formats))
    with database.transaction() as session:
        lifecycle.cancel(session, session.get_one(Run, run_id).account_id, run_id)
    return run_id


def lease_files(database: Database, run_id: UUID, worker: str = WORKER) -> ExportLease | None:
    with database.transaction() as session:
        return export_lease.lease_export(session, run_id, worker, LEASE_S)


def leased(database: Database, run_id: UUID, worker: str = WORKER) -> ExportLease:
    lease = lease_files(database, run_id, worker)
    assert lease is not None
    return lease


def fail(database: Database, lease: ExportLease) -> None:
    with database.transaction() as session:
        fail_export(session, lease, "ENOSPC")


def let_pass(database: Database, column: str = "export_retry_at") -> None:
    """As if the time in this column were over."""
    with database.transaction() as session:
        session.execute(text(f"UPDATE runs SET {column} = now() - interval '1 second' WHERE {column} IS NOT NULL"))


def found(database: Database) -> list[UUID]:
    with database.transaction() as session:
        return list(export_lease.find_unexported(session))


def message_of(session: Session, run_id: UUID) -> str:
    body = live_state.build(session, session.get_one(Run, run_id, populate_existing=True)).body
    return str(json.loads(body)["progress"]["message"])


def test_of_copies_that_lease_at_once_one_gets_the_lease(database: Database) -> None:
    run_id = stopped_run(database)

    with ThreadPoolExecutor(4) as copies:
        leases = list(copies.map(lambda n: lease_files(database, run_id, f"worker-{n}@test/1"), range(8)))

    assert len([lease for lease in leases if lease]) == 1


def test_of_an_accounts_runs_one_is_written_at_a_time_and_other_accounts_do_not_wait(database: Database) -> None:
    mine = account(database).account_id
    run_ids = [stopped_run(database, mine) for _ in range(6)]

    with ThreadPoolExecutor(6) as copies:
        leases = [
            lease for lease in copies.map(lambda run_id: lease_files(database, run_id, str(run_id)), run_ids) if lease
        ]

    assert len(leases) == 1
    assert lease_files(database, stopped_run(database), OTHER)
    with database.transaction() as session:
        export_lease.finish_export(session, leases[0], ())
    left = [run_id for run_id in run_ids if run_id != leases[0].run_id]
    with database.transaction() as session:
        assert export_lease.next_unexported(session, leases[0].run_id) == left[0]
    assert lease_files(database, left[0])


def test_compiling_that_failed_leaves_its_accounts_turn_to_the_next_try(database: Database) -> None:
    run_id = pending_run(database)
    with database.transaction() as session:
        session.execute(text("UPDATE run_stages SET status = 'completed', done = total, started_at = now()"))
        lifecycle.begin_stage(session, run_id, COMPILE, WORKER, 1)
    compiling = leased_chunk(database, run_id, COMPILE)
    with database.transaction() as session:
        assert export_lease.take_turn(session, refreshed(session, run_id), WORKER, LEASE_S)

    with database.transaction() as session:
        chunks.fail_attempt(session, compiling, StepFailed(Step.WRITE_EXPORTS, "internal error KeyError"))

    with database.transaction() as session:
        assert export_lease.take_turn(session, refreshed(session, run_id), OTHER, LEASE_S)


def test_the_sweeper_finds_one_run_of_each_account_that_has_no_leased_export(database: Database) -> None:
    mine = account(database).account_id
    first, second = stopped_run(database, mine), stopped_run(database, mine)
    other = stopped_run(database)
    let_pass(database, "resend_at")

    assert sorted(found(database)) == sorted([first, other])
    assert found(database) == []
    let_pass(database, "resend_at")
    lease = leased(database, first)
    assert found(database) == [other]
    with database.transaction() as session:
        export_lease.finish_export(session, lease, ())
    let_pass(database, "resend_at")
    assert sorted(found(database)) == sorted([second, other])


def pauses(database: Database, run_id: UUID, times: int) -> list[int]:
    """After how many seconds the sweeper asks for the export again, each time that it has asked."""
    seconds = []
    for _ in range(times):
        with database.transaction() as session:
            session.execute(text("UPDATE runs SET resend_at = now()"))
            assert export_lease.find_unexported(session) == [run_id]
            seconds.append(session.scalar(text("SELECT extract(epoch FROM resend_at - now())::int FROM runs")))
    return seconds


def test_an_export_is_asked_for_ever_more_rarely_until_it_is_leased(
    database: Database,
) -> None:
    run_id = stopped_run(database)
    assert pauses(database, run_id, 7) == [10, 20, 40, 80, 160, 300, 300]

    lease = leased(database, run_id)
    with database.transaction() as session:
        export_lease.release_export(session, lease)

    assert pauses(database, run_id, 2) == [10, 20]


def test_an_export_whose_message_could_not_be_sent_is_found_again_at_once(database: Database) -> None:
    run_id = stopped_run(database)
    pauses(database, run_id, 3)

    with database.transaction() as session:
        export_lease.unmark_asked(session, [run_id])

    assert found(database) == [run_id]


def test_an_export_that_is_being_written_is_not_asked_for_however_long_that_takes(database: Database) -> None:
    run_id = stopped_run(database)
    lease = leased(database, run_id)
    for _ in range(3):
        let_pass(database, "resend_at")
        with database.transaction() as session:
            export_lease.renew_export(session, lease, LEASE_S)
        assert found(database) == []


def test_the_sweeper_waits_for_no_run_that_is_locked_as_by_its_retry(database: Database) -> None:
    locked, other = stopped_run(database), stopped_run(database)
    let_pass(database, "resend_at")

    with database.transaction() as retrying, database.transaction() as session:
        lock_run(retrying, locked)
        session.execute(text("SET LOCAL lock_timeout = '1ms'"))
        assert export_lease.find_unexported(session) == [other]

    assert found(database) == [locked]


def test_finding_the_next_export_costs_no_more_for_each_run_however_many_of_an_account_wait(
    new_database: Database,
) -> None:
    run_id = stopped_run(new_database)
    few, many = (turns_measured(new_database, run_id, more) for more in (49, 450))

    leases = [name for step, name in few.rows if step == "lease"]
    finding = [sum(cost for (step, _), cost in each.rows.items() if step == "find") for each in (few, many)]
    assert [name for name in leases if many.rows["lease", name] > few.rows["lease", name] + 10] == []
    assert finding[1] <= 15 * finding[0]


def turns_measured(database: Database, run_id: UUID, more: int) -> Meter:
    """What it costs the sweeper to find the next export, and a worker to lease it, while so many more wait."""
    with database.transaction() as session:
        session.execute(text(MORE_THAT_WAIT), {"run_id": run_id, "more": more})
        session.execute(text("UPDATE runs SET resend_at = now()"))
    meter = Meter(database)
    with meter.measured("find") as session:
        assert len(export_lease.find_unexported(session)) == 1
    with meter.measured("lease") as session:
        assert export_lease.lease_export(session, run_id, WORKER, LEASE_S)
    return meter


def test_the_export_of_a_run_that_ended_long_ago_is_still_asked_for(database: Database) -> None:
    run_id = stopped_run(database)
    with database.transaction() as session:
        session.execute(text("UPDATE runs SET finished_at = now() - interval '30 days'"))
    let_pass(database, "resend_at")

    assert found(database) == [run_id]


def test_no_export_is_asked_for_where_none_is_wanted(database: Database) -> None:
    run_id = stopped_run(database, formats=())
    let_pass(database, "resend_at")

    assert found(database) == []
    assert lease_files(database, run_id) is None


def test_an_export_of_a_dead_worker_is_leased_by_another_and_the_dead_one_can_not_end_it(database: Database) -> None:
    run_id = stopped_run(database)
    dead = leased(database, run_id)
    let_pass(database)

    with pytest.raises(LeaseLost), database.transaction() as session:
        export_lease.renew_export(session, dead, LEASE_S)
    assert leased(database, run_id, OTHER).attempt == 2
    for end in (lambda s: export_lease.finish_export(s, dead, ()), lambda s: fail_export(s, dead, "EIO")):
        with pytest.raises(LeaseLost), database.transaction() as session:
            end(session)


def test_a_worker_that_stops_costs_no_attempt_and_no_pause(database: Database) -> None:
    run_id = stopped_run(database)
    with database.transaction() as session:
        export_lease.release_export(session, leased(database, run_id))

    assert leased(database, run_id, OTHER).attempt == 1


def test_the_pauses_grow_to_ten_minutes_and_all_of_them_take_an_hour() -> None:
    pauses = [doubling_pause(attempt, LONGEST_PAUSE_S, FIRST_PAUSE_S) for attempt in range(1, MAX_ATTEMPTS)]

    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (10, 600)
    assert 3600 <= sum(pauses) < 4200


def test_an_export_that_failed_pauses_and_readers_see_when_it_is_tried_again(database: Database) -> None:
    run_id = stopped_run(database)
    lease = leased(database, run_id)
    with database.transaction() as session:
        before = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    fail(database, lease)
    let_pass(database, "resend_at")

    assert lease_files(database, run_id) is None
    assert found(database) == []
    with database.transaction() as session:
        assert "The export files can't be written yet; the next try is at " in message_of(session, run_id)
        retry_at = session.execute(text("SELECT export_retry_at FROM runs")).scalar_one()
        assert retry_at - before >= timedelta(seconds=FIRST_PAUSE_S)
    let_pass(database)
    assert found(database) == [run_id]


def use_up_attempts(database: Database, run_id: UUID) -> None:
    for attempt in range(1, MAX_ATTEMPTS + 1):
        lease = leased(database, run_id)
        assert lease.attempt == attempt
        fail(database, lease)
        let_pass(database)


def test_an_export_whose_attempts_are_used_up_is_shown_to_readers_and_in_the_timeline(database: Database) -> None:
    run_id = stopped_run(database)
    use_up_attempts(database, run_id)
    let_pass(database, "resend_at")

    assert found(database) == []
    assert lease_files(database, run_id) is None
    with database.transaction() as session:
        last = events_of_run(session, run_id)[-1]
        assert "are not tried any more: have the operator write them." in message_of(session, run_id)
    assert (last.kind, last.detail) == (EventKind.EXPORT_GIVEN_UP, {"attempts": MAX_ATTEMPTS, "reason": "ENOSPC"})


def test_an_erasure_ends_the_lease_and_has_an_export_without_attempts_tried_again(database: Database) -> None:
    run_id, who = stopped_run(database), Wanted()
    use_up_attempts(database, run_id)
    who.add_address("given0.family0@alpha.test")
    with database.transaction() as session:
        session.execute(text("UPDATE contacts SET email = 'given0.family0@alpha.test' WHERE input_row = 0"))

    with database.transaction() as session:
        assert erasure.erase_contacts(session, run_id, 0, [0], who, new_id())[1] == 1
    lease = leased(database, run_id)
    assert lease.attempt == 1
    with database.transaction() as session:
        session.execute(text("UPDATE contacts SET email = 'given0.family0@alpha.test' WHERE input_row = 1"))
        erasure.erase_contacts(session, run_id, 0, [1], who, new_id())

    with pytest.raises(LeaseLost), database.transaction() as session:
        export_lease.finish_export(session, lease, ())


def test_a_run_whose_data_expires_is_not_exported_any_more(database: Database) -> None:
    run_id = stopped_run(database)
    with database.transaction() as session:
        retract(session, session.get_one(Run, run_id))
    let_pass(database, "resend_at")

    assert found(database) == []
    assert lease_files(database, run_id) is None
