"""What is deleted when its time is over, what stays, and what clients see then."""

from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from models.connections import Timeouts
from models.database import Database, open_database
from models.queries import events_of_run
from models.run import Run
from models.transitions import lock_run
from pipeline.errors import RunStateConflict
from pipeline.privacy import retention
from pipeline.runs import live_state
from pipeline.runs.lifecycle import cancel
from pipeline.runs.retry import retry_run
from tests.factories import count, owner_of, pending_run, started_run
from tests.old_runs import (
    OLD_DAYS,
    RETENTION_DAYS,
    OldRuns,
    OvertakenDatabase,
    add_answer,
    all_copies,
    all_rows,
    balances,
    personal_in,
    rows_of,
)
from worker.sweeper.expire import expire_due

FINISHED = ["completed", "failed", "cancelled"]


def find(database: Database, days: float = RETENTION_DAYS) -> list[UUID]:
    with database.transaction() as session:
        return list(retention.find_expired(session, days))


@pytest.mark.parametrize("status", FINISHED)
def test_a_finished_run_is_found_when_its_days_are_over_and_not_before(old_runs: OldRuns, status: str) -> None:
    run_id = old_runs.finished_run(status)

    assert find(old_runs.database) == [run_id]
    assert find(old_runs.database, OLD_DAYS + 0.01) == []


def test_a_run_that_is_not_finished_never_expires(old_runs: OldRuns) -> None:
    for run_id in (pending_run(old_runs.database), started_run(old_runs.database)):
        with old_runs.database.transaction() as session:
            old = {"created_at": "created_at - interval '1 year'", "updated_at": "updated_at - interval '1 year'"}
            changes = ", ".join(f"{column} = {value}" for column, value in old.items())
            session.execute(text(f"UPDATE runs SET {changes} WHERE id = :id"), {"id": run_id})

    assert find(old_runs.database) == []


def test_the_oldest_run_expires_first_and_an_expired_one_not_again(old_runs: OldRuns) -> None:
    younger, older = old_runs.completed_run(days_ago=91), old_runs.completed_run(days_ago=92)
    assert find(old_runs.database) == [older, younger]

    expire_due(old_runs.expirer())

    assert find(old_runs.database) == []


@pytest.mark.parametrize("status", FINISHED)
def test_nothing_of_a_person_is_left_in_rows_files_or_redis(old_runs: OldRuns, status: str) -> None:
    run_id = old_runs.finished_run(status)
    (old_runs.exports / str(run_id) / ".contacts.csv.0123456789abcdef").write_text("never finished: Given0")
    with old_runs.database.transaction() as session:
        add_answer(session, run_id, days_ago=OLD_DAYS)
    assert personal_in(all_rows(old_runs.database)) != []
    assert status != "completed" or personal_in(all_copies(old_runs.redis)) != []

    assert expire_due(old_runs.expirer())

    assert personal_in(all_rows(old_runs.database)) == []
    assert personal_in(all_copies(old_runs.redis)) == []
    assert old_runs.files() == []


@pytest.mark.parametrize("status", FINISHED)
def test_counts_credits_and_timeline_stay(old_runs: OldRuns, status: str) -> None:
    run_id = old_runs.finished_run(status)
    state, before, money = old_runs.state(run_id), rows_of(old_runs.database, run_id), balances(old_runs.database)

    expire_due(old_runs.expirer())

    after, kept = old_runs.state(run_id), rows_of(old_runs.database, run_id)
    for key in ("run_id", "status", "stage_status", "preview", "data_source_mix", "gap_report"):
        assert after[key] == state[key]
    assert set(kept) == {"credit_ledger", "run_events", "run_stages"}
    assert kept == {name: before[name] for name in kept} | {"run_events": before["run_events"] + 1}
    assert balances(old_runs.database) == money
    with old_runs.database.transaction() as session:
        assert events_of_run(session, run_id)[-1].kind == "expired"


@pytest.mark.parametrize("status", FINISHED)
def test_the_status_response_stays_valid_and_says_that_the_data_is_gone(old_runs: OldRuns, status: str) -> None:
    run_id = old_runs.finished_run(status)
    before = old_runs.state(run_id)

    expire_due(old_runs.expirer())

    after = old_runs.state(run_id)
    assert list(after) == list(before)
    assert {key: type(value) for key, value in after.items()} == {key: type(value) for key, value in before.items()}
    assert after["progress"]["percent"] == before["progress"]["percent"]
    assert after["progress"]["stages"] == before["progress"]["stages"]
    assert after["progress"].get("error") == before["progress"].get("error")
    assert "Its data has expired" in after["progress"]["message"]
    assert [after[key] for key in ("result_handles", "artifact_handles", "export_handles")] == [[], [], []]


def test_a_retracted_run_shows_none_of_its_results(old_runs: OldRuns) -> None:
    run_id = old_runs.completed_run(count=10)
    assert len(old_runs.state(run_id)["result_handles"]) == 2

    with old_runs.database.transaction() as session:
        retention.retract(session, session.get_one(Run, run_id))
        state = live_state.build(session, session.get_one(Run, run_id))

    assert '"result_handles":[],"artifact_handles":[],"export_handles":[]' in state.body
    assert rows_of(old_runs.database, run_id)["contacts"] == 10


def test_a_copy_that_a_slow_reader_puts_back_is_refused(old_runs: OldRuns) -> None:
    run_id = old_runs.completed_run()
    slow_reader = old_runs.publish(run_id)

    expire_due(old_runs.expirer())
    live_state.store(old_runs.redis, slow_reader, live_seconds=30)

    assert personal_in(all_copies(old_runs.redis)) == []


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_an_expired_run_can_not_be_retried(old_runs: OldRuns, status: str) -> None:
    run_id = old_runs.stopped_run(status)
    expire_due(old_runs.expirer())

    with pytest.raises(RunStateConflict, match="has expired"), old_runs.database.transaction() as session:
        retry_run(session, owner_of(old_runs.database, run_id), run_id)


def test_a_retry_made_in_time_outlives_the_run_before_it(old_runs: OldRuns) -> None:
    run_id = old_runs.stopped_run("cancelled")
    with old_runs.database.transaction() as session:
        retry = retry_run(session, owner_of(old_runs.database, run_id), run_id)
    rows = rows_of(old_runs.database, retry.run_id)

    expire_due(old_runs.expirer())

    assert rows_of(old_runs.database, retry.run_id) == rows
    with old_runs.database.transaction() as session:
        assert retry_run(session, owner_of(old_runs.database, run_id), run_id).run_id == retry.run_id
        cancel(session, owner_of(old_runs.database, run_id), retry.run_id)


def test_a_late_export_of_an_expired_run_writes_nothing(old_runs: OldRuns) -> None:
    run_id = old_runs.stopped_run("cancelled")
    expire_due(old_runs.expirer())
    rows = rows_of(old_runs.database, run_id)
    old_runs.exports.rmdir()

    old_runs.export(run_id)

    assert not old_runs.exports.exists()
    assert rows_of(old_runs.database, run_id) == rows


def test_an_export_that_is_written_while_its_run_expires_is_deleted_again(old_runs: OldRuns, tmp_path: Path) -> None:
    run_id = old_runs.unexported_run("cancelled")

    def expire_before_the_files_are_there() -> None:
        aside = old_runs.exports.rename(tmp_path / "still being written")
        old_runs.exports.mkdir()
        expire_due(old_runs.expirer())
        old_runs.exports.rmdir()
        aside.rename(old_runs.exports)

    old_runs.export(run_id, OvertakenDatabase(old_runs.database, expire_before_the_files_are_there))

    assert old_runs.files() == []
    assert "artifacts" not in rows_of(old_runs.database, run_id)


def test_a_run_that_is_locked_holds_up_no_other(old_runs: OldRuns, database_url: str) -> None:
    locked, _ = old_runs.finished_run("cancelled"), old_runs.finished_run("completed")
    impatient = open_database(database_url, pool_size=1, timeouts=Timeouts(statement_s=10, lock_s=0.05))

    with old_runs.database.transaction() as holder:
        lock_run(holder, locked)
        assert not expire_due(old_runs.expirer(impatient))

    impatient.close()
    assert find(old_runs.database) == [locked]


def test_providers_answers_are_deleted_when_their_days_are_over_and_not_before(old_runs: OldRuns) -> None:
    run_id = pending_run(old_runs.database)
    with old_runs.database.transaction() as session:
        for number, days in enumerate([RETENTION_DAYS + 0.01] * (retention.BATCH + 1) + [RETENTION_DAYS - 0.01]):
            add_answer(session, run_id, days, number)

    expire_due(old_runs.expirer())

    with old_runs.database.transaction() as session:
        assert count(session, "SELECT count(*) FROM provider_answers") == 1
        assert count(session, "SELECT count(*) FROM provider_answers WHERE asked_at > now() - interval '90 days'") == 1
