"""An answered question is never sent again, whichever chunk task asks, and however the first one ended."""

import asyncio
import threading
from dataclasses import replace

import pytest

from pipeline.lookup.providers.metered import StepResult, Unanswered
from pipeline.lookup.providers.source import Found, NotFound
from pipeline.outcomes import Reason
from sandbox import provider
from tests.factories import owner_of, pending_run
from tests.unit.lookup.providers.asking import ADA, GRACE, STRANGER, PayingRun

KEY = ("Grace Hopper", "acme.test")


def test_an_answer_is_recorded_and_read_by_every_later_run_of_the_account(paying_run: PayingRun) -> None:
    first = paying_run.ask(GRACE, STRANGER)
    later_run = pending_run(paying_run.database, account_id=owner_of(paying_run.database, paying_run.run_id))

    second = paying_run.ask(GRACE, STRANGER, run_id=later_run)

    assert [type(each) for each in first] == [Found, NotFound]
    assert second == first
    assert paying_run.provider.requests.total() == 2


def test_the_same_person_in_another_spelling_is_the_same_question(paying_run: PayingRun) -> None:
    otherwise = replace(GRACE, full_name="", first_name=" grace", last_name="HOPPER  ")

    paying_run.ask(GRACE, otherwise)

    assert paying_run.provider.requests.total() == 1


def test_another_account_does_not_see_the_answer(paying_run: PayingRun) -> None:
    paying_run.ask(GRACE)

    paying_run.ask(GRACE, run_id=pending_run(paying_run.database))

    assert paying_run.provider.requests[KEY] == 2


def test_of_two_chunk_tasks_with_the_same_question_one_asks_and_both_get_the_answer(paying_run: PayingRun) -> None:
    answer_now = threading.Event()
    paying_run.provider.script = [provider.waits_for(answer_now)]

    async def two_chunk_tasks() -> list[StepResult | None]:
        async with paying_run.chunk_task() as one, paying_run.chunk_task() as other:
            asking = asyncio.gather(one(GRACE), other(GRACE))
            await asyncio.to_thread(paying_run.provider.wait_for_requests, 1)
            answer_now.set()
            return list(await asking)

    first, second = asyncio.run(two_chunk_tasks())

    assert first == second
    assert isinstance(first, Found)
    assert paying_run.provider.requests.total() == 1


def test_the_same_person_many_times_in_one_list_is_asked_once(paying_run: PayingRun) -> None:
    results = paying_run.conclude(*[GRACE] * 20)

    assert {each.found.email if each.found else None for each in results} == {"grace@acme.test"}
    assert paying_run.provider.requests.total() == 1


@pytest.mark.parametrize("response", [provider.hangs, provider.hangs_up, provider.html, provider.endless])
def test_a_lost_answer_is_not_asked_again_where_that_could_be_paid_twice(
    paying_run: PayingRun, response: provider.Response
) -> None:
    paying_run.timeout = 0.5
    paying_run.describe()
    paying_run.provider.script = [response]

    first = paying_run.ask(GRACE)
    paying_run.let_questions_expire()
    second = paying_run.ask(GRACE)

    assert [*first, *second] == [Unanswered(Reason.ANSWER_LOST)] * 2
    assert paying_run.provider.charges[KEY] == 1
    assert paying_run.spent() == 1


@pytest.mark.parametrize("response", [provider.hangs, provider.hangs_up, provider.html])
def test_a_lost_answer_is_asked_again_with_the_same_key_of_a_provider_that_charges_a_key_once(
    run_with_keys: PayingRun, response: provider.Response
) -> None:
    run_with_keys.timeout = 0.5
    run_with_keys.describe('idempotency_header = "Idempotency-Key"')
    run_with_keys.provider.script = [response]

    (first,) = run_with_keys.ask(GRACE)
    run_with_keys.let_questions_expire()
    (second,) = run_with_keys.ask(GRACE)

    assert first == Unanswered(Reason.PROVIDER_UNAVAILABLE)
    assert isinstance(second, Found)
    assert run_with_keys.provider.requests[KEY] == 2
    assert run_with_keys.provider.charges[KEY] == 1
    assert run_with_keys.spent() == 1


def test_with_asks_again_in_doubt_both_requests_are_on_the_bill_and_in_the_budget(paying_run: PayingRun) -> None:
    paying_run.describe("asks_again_in_doubt = true")
    paying_run.provider.script = [provider.hangs_up]

    paying_run.ask(GRACE)
    paying_run.let_questions_expire()
    paying_run.ask(GRACE)

    assert paying_run.provider.charges[KEY] == 2
    assert paying_run.spent() == 2


def test_a_question_whose_chunk_task_may_be_alive_is_not_asked_by_another(run_with_keys: PayingRun) -> None:
    """It waits until the first one must be dead, which is longer than the test does."""
    run_with_keys.provider.script = [provider.hangs_up]
    run_with_keys.ask(GRACE)

    async def ask_again() -> str:
        async with run_with_keys.chunk_task() as ask:
            try:
                await asyncio.wait_for(ask(GRACE), 0.5)
            except TimeoutError:
                return "still waits"
            return "asked"

    assert asyncio.run(ask_again()) == "still waits"
    assert run_with_keys.provider.requests[KEY] == 1


@pytest.mark.parametrize("response", [provider.status(503), provider.too_many(0), provider.status(500)])
def test_a_request_that_was_not_served_is_tried_again_and_leaves_no_trace(
    paying_run: PayingRun, response: provider.Response
) -> None:
    paying_run.provider.script = [response]

    (results,) = paying_run.ask(GRACE)

    assert isinstance(results, Found)
    assert (paying_run.provider.requests[KEY], paying_run.provider.charges[KEY], paying_run.spent()) == (2, 1, 1)


def test_a_chunk_task_that_must_stop_still_records_the_answer_that_is_under_way(paying_run: PayingRun) -> None:
    answer_now = threading.Event()
    paying_run.provider.script = [provider.waits_for(answer_now)]

    async def stopped_chunk_task() -> None:
        async with paying_run.chunk_task() as ask:
            asking = asyncio.ensure_future(ask(GRACE))
            await asyncio.to_thread(paying_run.provider.wait_for_requests, 1)
            asking.cancel()
            await asyncio.sleep(0)
            answer_now.set()
            await asyncio.wait({asking})
            assert asking.cancelled()

    asyncio.run(stopped_chunk_task())
    (results,) = paying_run.ask(GRACE)

    assert isinstance(results, Found)
    assert paying_run.provider.requests[KEY] == 1


def test_what_is_not_found_costs_nothing_where_the_provider_says_so(paying_run: PayingRun) -> None:
    paying_run.describe("charges_not_found = false")

    paying_run.ask(GRACE, STRANGER, ADA)

    assert paying_run.spent() == 2


def test_a_late_answer_is_kept_although_another_chunk_task_has_asked_meanwhile(run_with_keys: PayingRun) -> None:
    """A frozen chunk task records its answer after another one has taken over the question."""
    frozen = threading.Event()
    run_with_keys.provider.script = [provider.waits_for(frozen), provider.too_many(7200)]

    async def frozen_chunk_task() -> object:
        async with run_with_keys.chunk_task() as ask, run_with_keys.chunk_task() as ask_elsewhere:
            asking = asyncio.ensure_future(ask(GRACE))
            await asyncio.to_thread(run_with_keys.provider.wait_for_requests, 1)
            run_with_keys.let_questions_expire()
            await ask_elsewhere(GRACE)
            frozen.set()
            return await asking

    first = asyncio.run(frozen_chunk_task())

    assert isinstance(first, Found)
    assert run_with_keys.ask(GRACE) == [first]
    assert (run_with_keys.rows(), run_with_keys.provider.charges[KEY]) == (1, 1)
