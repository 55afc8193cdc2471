"""A failing step is retried with growing pauses. Then the contact gets an internal error, or the run fails."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from models.database import Database
from models.queries import events_of_run
from models.run import Run
from models.wire import ContactIn
from pipeline.credits import RateCard
from pipeline.runs import live_state
from pipeline.runs.create import create_run
from pipeline.runs.poison import MAX_ATTEMPTS, POISON_ATTEMPTS
from tests.factories import LOOKUP, VERIFY, WORKER, account, count, let_pauses_pass, order_of
from tests.integration.broker.broker_and_workers import wait_for
from tests.integration.broker.worker_process import opened_process
from tests.integration.failures.broken_steps import (
    BROKEN_STEPS,
    TIMED_OUT_STEPS,
    UNREADABLE_LIST,
    refused,
    unreadable,
)
from tests.live_copies import live_copy
from worker.chain import work_chain_step
from worker.compile import compile_run
from worker.process import Process

CONTACTS, FAULTY = 7, 4
CREDITS = 1000
MOST_CHAINS = 40
"""More than any run of this module needs."""


@pytest.fixture
def process(database_url: str, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    settings = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url, "EXPORT_DIR": str(tmp_path)}
    with opened_process(settings, monkeypatch) as opened:
        yield opened


@pytest.fixture
def impatient_process(
    database_url: str, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Process]:
    """A process that waits for Postgres only as long as a very short lease."""
    settings = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url, "EXPORT_DIR": str(tmp_path)}
    with opened_process(settings | {"LEASE_SECONDS": "0.4", "CHECKPOINT_SECONDS": "0.1"}, monkeypatch) as opened:
        yield opened


@pytest.fixture
def run_id(database: Database) -> UUID:
    """A run of contacts without a domain, which need no server."""
    people = [ContactIn(full_name=f"Given{n} Family", domain="no domain") for n in range(CONTACTS)]
    with database.transaction() as session:
        return create_run(session, account(database, CREDITS).account_id, order_of(people), rate_card=RateCard()).run_id


def run_chain(process: Process, run_id: UUID) -> None:
    """The run's chain once, step after step as Celery does."""
    if all(work_chain_step(process, run_id, stage, WORKER, extra_tasks=0) for stage in (LOOKUP, VERIFY)):
        compile_run(process, run_id, WORKER)


def drive(process: Process, database: Database, run_id: UUID) -> None:
    """Run the chain again and again, as workers and sweeper do, until the run has ended."""
    for _ in range(MOST_CHAINS):
        let_pauses_pass(database)
        run_chain(process, run_id)
        if read_run(database, run_id).finished_at:
            return
    raise AssertionError("the run did not end")


def read_run(database: Database, run_id: UUID) -> Run:
    with database.transaction() as session:
        return session.get_one(Run, run_id)


def state_of(database: Database, run_id: UUID) -> dict[str, Any]:
    with database.transaction() as session:
        state: dict[str, Any] = json.loads(live_state.build(session, session.get_one(Run, run_id)).body)
        return state


def live_message(process: Process, database: Database, run_id: UUID) -> str:
    copy = live_copy(process.redis, read_run(database, run_id))
    assert copy is not None
    return str(json.loads(copy)["progress"]["message"])


def reasons(database: Database, run_id: UUID) -> list[str]:
    query = "SELECT reason FROM outcomes WHERE run_id = :id AND stage = 'email_lookup' ORDER BY position"
    with database.transaction() as session:
        return list(session.scalars(text(query), {"id": run_id}))


def balance(database: Database) -> int:
    with database.transaction() as session:
        return count(session, "SELECT credit_balance FROM accounts")


def failed_attempts(database: Database, run_id: UUID) -> list[dict[str, Any]]:
    """The failed steps in the timeline."""
    with database.transaction() as session:
        return [event.detail for event in events_of_run(session, run_id) if "fault" in event.detail]


def assert_waits(database: Database) -> None:
    """The sweeper does not send the chain before the next attempt is due."""
    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM runs WHERE parked_until = retry_at AND retry_at > updated_at") == 1


@pytest.mark.parametrize("name", BROKEN_STEPS)
def test_a_step_that_always_fails_fails_the_run_with_the_credits_back(
    process: Process, database: Database, run_id: UUID, name: str
) -> None:
    BROKEN_STEPS[name].break_in(database)

    drive(process, database, run_id)

    state = state_of(database, run_id)
    assert (state["status"], state["progress"]["error"]["code"]) == ("failed", "stage_failed")
    assert BROKEN_STEPS[name].fault in state["progress"]["error"]["message"]
    assert state["progress"]["percent"] < 100
    assert balance(database) == CREDITS


@pytest.mark.proof
@pytest.mark.parametrize("name", TIMED_OUT_STEPS)
def test_a_step_that_times_out_at_every_attempt_fails_like_any_other(
    impatient_process: Process, database: Database, run_id: UUID, name: str
) -> None:
    TIMED_OUT_STEPS[name].break_in(database)

    drive(impatient_process, database, run_id)

    state = state_of(database, run_id)
    assert (state["status"], state["progress"]["error"]["code"]) == ("failed", "stage_failed")
    assert balance(database) == CREDITS


def test_a_suppression_list_that_times_out_at_every_attempt_is_a_failed_attempt_and_blames_no_contact(
    process: Process, database: Database
) -> None:
    people = [ContactIn(email=f"person{n}@alpha.test") for n in range(CONTACTS)]
    with database.transaction() as session:
        buyer = account(database, CREDITS).account_id
        run_id = create_run(session, buyer, order_of(people), rate_card=RateCard()).run_id
    UNREADABLE_LIST.break_in(database)

    run_chain(process, run_id)

    (attempt,) = failed_attempts(database, run_id)
    assert (attempt["step"], attempt["fault"]) == ("work", UNREADABLE_LIST.fault)
    assert UNREADABLE_LIST.message.format("once") in live_message(process, database, run_id)
    assert reasons(database, run_id) == []
    UNREADABLE_LIST.repair_in(database)
    let_pauses_pass(database)
    assert work_chain_step(process, run_id, LOOKUP, WORKER, extra_tasks=0)


def test_a_step_that_times_out_once_is_only_tried_again(
    process: Process, database: Database, run_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    """As when a server is busy, or an operator cancels a statement."""
    TIMED_OUT_STEPS["begin"].break_in(database)

    with ThreadPoolExecutor(1) as chain:
        attempt = chain.submit(run_chain, process, run_id)
        wait_for(lambda: "(57014)), retrying" in caplog.text, "an attempt that times out")
        TIMED_OUT_STEPS["begin"].repair_in(database)
        attempt.result()

    assert read_run(database, run_id).status == "completed"
    assert not failed_attempts(database, run_id)


@pytest.mark.parametrize("name", BROKEN_STEPS)
def test_a_step_that_fails_twice_is_reported_and_then_the_run_completes(
    process: Process, database: Database, run_id: UUID, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken = BROKEN_STEPS[name]
    broken.break_in(database)
    percents = []
    for _ in range(2):
        let_pauses_pass(database)
        run_chain(process, run_id)
        assert_waits(database)
        percents.append(state_of(database, run_id)["progress"]["percent"])

    message = live_message(process, database, run_id)
    assert broken.message.format("2 times") in message
    assert f"the stage {broken.stage}" in message.lower()
    assert f"({broken.fault}); the next try is at " in message
    assert message == state_of(database, run_id)["progress"]["message"]
    broken.repair_in(database)
    drive(process, database, run_id)

    state = state_of(database, run_id)
    assert (state["status"], state["progress"]["message"]) == ("completed", "Run complete.")
    assert [*percents, 100] == sorted([*percents, state["progress"]["percent"]])
    assert reasons(database, run_id) == ["domain_unusable"] * CONTACTS
    logged = json.dumps(failed_attempts(database, run_id)) + caplog.text
    assert str(run_id) in logged
    assert "alpha.test" not in logged


@pytest.mark.parametrize(
    "poison",
    [
        unreadable("company", f"position = {FAULTY}", ""),
        refused("INSERT", "outcomes", f"NEW.position = {FAULTY} AND NEW.reason = 'domain_unusable'", ""),
    ],
    ids=["loaded", "recorded"],
)
def test_a_contact_that_can_not_be_loaded_or_recorded_fails_alone(
    process: Process, database: Database, run_id: UUID, poison: Any
) -> None:
    poison.break_in(database)

    for _ in range(MOST_CHAINS):
        let_pauses_pass(database)
        if work_chain_step(process, run_id, LOOKUP, WORKER, extra_tasks=0):
            break

    expected = ["internal_error" if position == FAULTY else "domain_unusable" for position in range(CONTACTS)]
    assert reasons(database, run_id) == expected
    assert len(failed_attempts(database, run_id)) <= POISON_ATTEMPTS + 1
    poison.repair_in(database)
    drive(process, database, run_id)
    assert read_run(database, run_id).status == "completed"


def test_outcomes_are_recorded_although_one_of_the_same_checkpoint_is_refused(
    process: Process, database: Database, run_id: UUID
) -> None:
    refused("INSERT", "outcomes", f"NEW.position = {FAULTY}", "").break_in(database)

    run_chain(process, run_id)

    assert reasons(database, run_id) == ["domain_unusable"] * (CONTACTS - 1)


def test_a_contact_for_which_not_even_the_fault_can_be_recorded_fails_the_run_and_the_others_are_kept(
    process: Process, database: Database, run_id: UUID
) -> None:
    refused("INSERT", "outcomes", f"NEW.position = {FAULTY}", "").break_in(database)

    drive(process, database, run_id)

    assert read_run(database, run_id).status == "failed"
    assert len(reasons(database, run_id)) == CONTACTS - 1
    assert len(failed_attempts(database, run_id)) <= MAX_ATTEMPTS
    assert balance(database) == CREDITS


def test_a_run_that_can_not_even_be_failed_is_tried_at_growing_intervals_until_it_can(
    process: Process, database: Database, run_id: UUID
) -> None:
    BROKEN_STEPS["load"].break_in(database)
    no_rebate = refused("UPDATE", "runs", "NEW.status = 'failed'", "")
    no_rebate.break_in(database)
    for _ in range(MOST_CHAINS):
        let_pauses_pass(database)
        run_chain(process, run_id)
        if any(each["step"] == "fail" for each in failed_attempts(database, run_id)):
            break
    pause = "SELECT count(*) FROM runs WHERE retry_at > now() + interval '15 s'"
    with database.transaction() as session:
        assert count(session, pause) == 1

    no_rebate.repair_in(database)
    drive(process, database, run_id)

    assert read_run(database, run_id).status == "failed"
    assert balance(database) == CREDITS
