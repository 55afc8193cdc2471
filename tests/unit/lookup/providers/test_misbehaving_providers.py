"""A provider that fails is never paid twice, gets no requests for a while, and is used again once it works."""

import asyncio
import logging
import time

import pytest

from pipeline.lookup.providers.breaker import FAILURES
from pipeline.lookup.providers.metered import StepResult, Unanswered
from pipeline.lookup.providers.source import Found, Person
from pipeline.memory.provider_answers import Caps
from pipeline.outcomes import Reason
from sandbox import provider
from sandbox.provider import Provider
from tests.unit.lookup.providers.asking import ADA, GRACE, STRANGER, PayingRun

UNAVAILABLE = Unanswered(Reason.PROVIDER_UNAVAILABLE)
STRANGERS = [Person(full_name=f"Stranger {number}", domain="acme.test") for number in range(20)]


def test_a_short_retry_after_is_waited_out_in_place(paying_run: PayingRun) -> None:
    paying_run.provider.script = [provider.too_many(1)]
    start = time.monotonic()

    (results,) = paying_run.ask(GRACE)

    assert isinstance(results, Found)
    assert time.monotonic() - start >= 1


def test_after_a_long_retry_after_contacts_are_deferred_and_no_further_request_is_sent(paying_run: PayingRun) -> None:
    paying_run.provider.script = [provider.too_many(90)]

    first, second = paying_run.ask(GRACE, ADA)

    assert first == Unanswered(Reason.PROVIDER_UNAVAILABLE, wait=90)
    assert isinstance(second, Unanswered)
    assert second.wait is not None
    assert 80 < second.wait <= 90
    assert not second.ours
    assert paying_run.provider.requests.total() == 1
    assert paying_run.rows() == 0


def test_a_provider_that_fails_again_and_again_is_not_asked_any_more(paying_run: PayingRun) -> None:
    paying_run.provider.response = provider.status(500)

    results = paying_run.ask(*STRANGERS[:FAILURES])

    assert results[-1] == UNAVAILABLE
    assert paying_run.provider.requests.total() == FAILURES
    assert (paying_run.rows(), paying_run.provider.charges.total()) == (0, 0)


def test_a_provider_that_works_again_gets_one_request_first_then_all(
    paying_run: PayingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.lookup.providers.breaker.FIRST_PAUSE", 0.2)
    paying_run.provider.script = [provider.status(500)] * FAILURES

    async def scenario() -> list[StepResult | None]:
        async with paying_run.chunk_task() as ask:
            for stranger in STRANGERS[:FAILURES]:
                await ask(stranger)
            failed = paying_run.provider.requests.total()
            results: list[StepResult | None] = []
            while not results or isinstance(results[-1], Unanswered):
                results.append(await ask(GRACE))
                await asyncio.sleep(0.05)
            assert paying_run.provider.requests.total() == failed + 1
            return [results[-1], await ask(ADA)]

    assert [type(each) for each in asyncio.run(scenario())] == [Found, Found]


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (provider.status(401), Reason.PROVIDER_KEY_REJECTED),
        (provider.status(402), Reason.PROVIDER_OUT_OF_CREDIT),
    ],
)
def test_a_provider_that_needs_its_operator_is_asked_once_and_left_out(
    paying_run: PayingRun, response: provider.Response, reason: Reason
) -> None:
    paying_run.provider.response = response

    results = paying_run.ask(GRACE, ADA, STRANGER)

    assert results == [Unanswered(reason)] * 3
    assert paying_run.provider.requests.total() == 1
    assert paying_run.rows() == 0


def test_a_word_in_the_answer_decides_before_its_status(paying_run: PayingRun) -> None:
    paying_run.describe('[provider.answers]\nword = "errors.0.id"\nout_of_credit = ["no_credit"]')
    paying_run.provider.response = provider.status(429, "no_credit")

    assert paying_run.ask(GRACE) == [Unanswered(Reason.PROVIDER_OUT_OF_CREDIT)]


def test_a_key_never_goes_where_a_redirect_points(paying_run: PayingRun) -> None:
    with Provider({}) as elsewhere:
        paying_run.provider.response = provider.redirects(elsewhere.url)

        (results,) = paying_run.ask(GRACE)

        assert isinstance(results, Unanswered)
        assert elsewhere.requests.total() == 0


def test_neither_keys_nor_people_are_logged(paying_run: PayingRun, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    paying_run.provider.script = [provider.status(418), provider.html, provider.hangs_up, provider.status(401)]

    paying_run.ask(GRACE, ADA, STRANGER)

    assert "sandbox" in caplog.text
    assert not any(word in caplog.text for word in ("sandbox-key", "Hopper", "Lovelace", "acme.test"))


def test_nothing_is_asked_beyond_a_runs_budget_and_known_answers_are_still_returned(paying_run: PayingRun) -> None:
    caps = Caps(per_run=paying_run.journal_price * 2)

    results = paying_run.ask(GRACE, ADA, STRANGER, GRACE, caps=caps)

    assert [type(each) for each in results] == [Found, Found, Unanswered, Found]
    assert results[2] == Unanswered(Reason.OUT_OF_BUDGET)
    assert paying_run.provider.requests.total() == 2


def test_chunk_tasks_that_spend_at_once_stay_within_the_budget_of_their_accounts_day(paying_run: PayingRun) -> None:
    results = paying_run.conclude(*STRANGERS, caps=Caps(per_account_day=paying_run.journal_price * 7))

    assert sum(each.missed == Unanswered(Reason.OUT_OF_BUDGET) for each in results) == len(STRANGERS) - 7
    assert paying_run.provider.charges.total() == paying_run.spent() == 7


def test_one_contact_costs_no_more_than_it_may(paying_run: PayingRun) -> None:
    paying_run.describe(head="[budget]\nper_contact = 1.5\n")
    second = paying_run.path.read_text().partition("[[provider]]")[2].replace('"sandbox"', '"second"')
    paying_run.path.write_text(paying_run.path.read_text() + "[[provider]]" + second)

    (result,) = paying_run.conclude(STRANGER)

    assert result.answers == {"sandbox": "not_found", "second": "out_of_budget"}
    assert paying_run.provider.requests.total() == 1


def test_no_more_requests_run_at_once_than_allowed(paying_run: PayingRun) -> None:
    paying_run.describe("at_once = 3")

    paying_run.conclude(*STRANGERS[:12])

    assert paying_run.provider.most_at_once <= 3
    assert paying_run.provider.requests.total() == 12


def test_no_more_requests_are_sent_in_a_second_than_allowed(paying_run: PayingRun) -> None:
    paying_run.path.write_text(paying_run.path.read_text().replace("per_second = 1000", "per_second = 20"))
    start = time.monotonic()

    paying_run.conclude(*STRANGERS[:11])

    assert time.monotonic() - start >= 0.5


def test_a_question_that_would_wait_too_long_for_a_turn_says_when_to_come_back(paying_run: PayingRun) -> None:
    paying_run.path.write_text(paying_run.path.read_text().replace("per_second = 1000", "per_second = 0.02"))

    results = paying_run.conclude(GRACE, ADA)

    missed = [each.missed for each in results if each.missed]
    assert [(each.reason, each.ours) for each in missed] == [(Reason.PROVIDER_UNAVAILABLE, True)]
    assert paying_run.rows() == 1
