"""An answered question is never sent again, whichever chunk task asks, and however the first one ended."""

import asyncio
import threading
from dataclasses import replace
from uuid import UUID

import pytest

from models.database import Database
from models.run import Run
from pipeline.lookup.providers.metered import StepResult, Unanswered
from pipeline.lookup.providers.source import Found, NotFound
from pipeline.outcomes import Reason
from sandbox import provider
from tests.factories import pending_run
from tests.unit.lookup.providers.asking import ADA, GRACE, NOBODY, Desk

KEY = ("Grace Hopper", "acme.test")


def owner(database: Database, run_id: UUID) -> UUID:
    with database.transaction() as session:
        return session.get_one(Run, run_id).account_id


def test_an_answer_is_recorded_and_read_by_every_later_run_of_the_account(office: Desk) -> None:
    first = office.ask(GRACE, NOBODY)
    later_run = pending_run(office.database, account_id=owner(office.database, office.run_id))

    second = office.ask(GRACE, NOBODY, run_id=later_run)

    assert [type(each) for each in first] == [Found, NotFound]
    assert second == first
    assert office.provider.requests.total() == 2


def test_the_same_person_in_another_spelling_is_the_same_question(office: Desk) -> None:
    otherwise = replace(GRACE, full_name="", first_name=" grace", last_name="HOPPER  ")

    office.ask(GRACE, otherwise)

    assert office.provider.requests.total() == 1


def test_another_account_does_not_see_the_answer(office: Desk) -> None:
    office.ask(GRACE)

    office.ask(GRACE, run_id=pending_run(office.database))

    assert office.provider.requests[KEY] == 2


def test_of_two_chunk_tasks_with_the_same_question_one_asks_and_both_get_the_answer(office: Desk) -> None:
    answer_now = threading.Event()
    office.provider.script = [provider.waits_for(answer_now)]

    async def two_chunk_tasks() -> list[StepResult | None]:
        async with office.chunk_task() as one, office.chunk_task() as other:
            asking = asyncio.gather(one(GRACE), other(GRACE))
            await asyncio.to_thread(office.provider.wait_for_requests, 1)
            answer_now.set()
            return list(await asking)

    first, second = asyncio.run(two_chunk_tasks())

    assert first == second
    assert isinstance(first, Found)
    assert office.provider.requests.total() == 1


def test_the_same_person_many_times_in_one_list_is_asked_once(office: Desk) -> None:
    results = office.conclude(*[GRACE] * 20)

    assert {each.found.email if each.found else None for each in results} == {"grace@acme.test"}
    assert office.provider.requests.total() == 1


@pytest.mark.parametrize("response", [provider.hangs, provider.hangs_up, provider.html, provider.endless])
def test_a_lost_answer_is_not_asked_again_where_that_could_be_paid_twice(
    office: Desk, response: provider.Response
) -> None:
    office.timeout = 0.5
    office.describe()
    office.provider.script = [response]

    first = office.ask(GRACE)
    office.let_askers_die()
    second = office.ask(GRACE)

    assert [*first, *second] == [Unanswered(Reason.ANSWER_LOST)] * 2
    assert office.provider.charges[KEY] == 1
    assert office.spent() == 1


@pytest.mark.parametrize("response", [provider.hangs, provider.hangs_up, provider.html])
def test_a_lost_answer_is_asked_again_with_the_same_key_of_a_provider_that_charges_a_key_once(
    idempotent_office: Desk, response: provider.Response
) -> None:
    idempotent_office.timeout = 0.5
    idempotent_office.describe('idempotency_header = "Idempotency-Key"')
    idempotent_office.provider.script = [response]

    (first,) = idempotent_office.ask(GRACE)
    idempotent_office.let_askers_die()
    (second,) = idempotent_office.ask(GRACE)

    assert first == Unanswered(Reason.PROVIDER_UNAVAILABLE)
    assert isinstance(second, Found)
    assert idempotent_office.provider.requests[KEY] == 2
    assert idempotent_office.provider.charges[KEY] == 1
    assert idempotent_office.spent() == 1


def test_who_allows_to_ask_again_without_a_key_sees_both_on_the_bill_and_in_the_budget(office: Desk) -> None:
    office.describe("asks_again_in_doubt = true")
    office.provider.script = [provider.hangs_up]

    office.ask(GRACE)
    office.let_askers_die()
    office.ask(GRACE)

    assert office.provider.charges[KEY] == 2
    assert office.spent() == 2


def test_a_question_whose_chunk_task_may_be_alive_is_not_asked_by_another(idempotent_office: Desk) -> None:
    """It waits: the test gives up before the journal does."""
    idempotent_office.provider.script = [provider.hangs_up]
    idempotent_office.ask(GRACE)

    async def ask_again() -> str:
        async with idempotent_office.chunk_task() as ask:
            try:
                await asyncio.wait_for(ask(GRACE), 0.5)
            except TimeoutError:
                return "still waits"
            return "asked"

    assert asyncio.run(ask_again()) == "still waits"
    assert idempotent_office.provider.requests[KEY] == 1


@pytest.mark.parametrize("response", [provider.status(503), provider.too_many(0), provider.status(500)])
def test_a_request_that_was_not_served_is_tried_again_and_leaves_no_trace(
    office: Desk, response: provider.Response
) -> None:
    office.provider.script = [response]

    (results,) = office.ask(GRACE)

    assert isinstance(results, Found)
    assert (office.provider.requests[KEY], office.provider.charges[KEY], office.spent()) == (2, 1, 1)


def test_a_chunk_task_that_must_stop_still_records_the_answer_that_is_under_way(office: Desk) -> None:
    answer_now = threading.Event()
    office.provider.script = [provider.waits_for(answer_now)]

    async def stopped_chunk_task() -> None:
        async with office.chunk_task() as ask:
            asking = asyncio.ensure_future(ask(GRACE))
            await asyncio.to_thread(office.provider.wait_for_requests, 1)
            asking.cancel()
            await asyncio.sleep(0)
            answer_now.set()
            await asyncio.wait({asking})
            assert asking.cancelled()

    asyncio.run(stopped_chunk_task())
    (results,) = office.ask(GRACE)

    assert isinstance(results, Found)
    assert office.provider.requests[KEY] == 1


def test_what_is_not_found_costs_nothing_where_the_provider_says_so(office: Desk) -> None:
    office.describe("charges_not_found = false")

    office.ask(GRACE, NOBODY, ADA)

    assert office.spent() == 2


def test_a_late_answer_is_kept_although_the_question_was_given_up(idempotent_office: Desk) -> None:
    """A frozen chunk task records its answer after another one has taken over the question."""
    frozen = threading.Event()
    idempotent_office.provider.script = [provider.waits_for(frozen), provider.too_many(7200)]

    async def frozen_chunk_task() -> object:
        async with idempotent_office.chunk_task() as ask, idempotent_office.chunk_task() as ask_elsewhere:
            asking = asyncio.ensure_future(ask(GRACE))
            await asyncio.to_thread(idempotent_office.provider.wait_for_requests, 1)
            idempotent_office.let_askers_die()
            await ask_elsewhere(GRACE)
            frozen.set()
            return await asking

    first = asyncio.run(frozen_chunk_task())

    assert isinstance(first, Found)
    assert idempotent_office.ask(GRACE) == [first]
    assert (idempotent_office.rows(), idempotent_office.provider.charges[KEY]) == (1, 1)
