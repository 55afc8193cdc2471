"""Quotes: a token is one account's, for one plan, once, for some minutes, at its rates."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import text

from models.database import Database
from models.run import Run
from models.wire import ContactIn, GoalPlan
from pipeline.contacts import PatternCount
from pipeline.credits import RateCard
from pipeline.errors import IdempotencyConflict, QuoteRefused
from pipeline.mail.address.lists import Lists
from pipeline.memory.domain_patterns import known_patterns
from pipeline.quotes.estimate import USUALLY_FOUND, USUALLY_VERIFIED, expect, shares
from pipeline.quotes.tokens import digest_of, issue
from pipeline.runs.create import CreatedRun, create_run
from tests.factories import account, count, order, order_of


def token_for(
    database: Database, owner: UUID, plan: GoalPlan, minutes: float = 15, rates: RateCard | None = None
) -> str:
    with database.transaction() as session:
        return issue(session, owner, digest_of(plan), rates or RateCard(), minutes)[0]


def run_with(database: Database, owner: UUID, plan: GoalPlan, token: str | None, key: str | None = None) -> CreatedRun:
    with database.transaction() as session:
        return create_run(session, owner, plan, rate_card=RateCard(), idempotency_key=key, quote_token=token)


def test_a_run_keeps_the_rates_of_its_quote(database: Database, owner: UUID) -> None:
    plan = order(2)

    created = run_with(database, owner, plan, token_for(database, owner, plan, rates=RateCard(3, 2, 1)))

    with database.transaction() as session:
        run = session.get_one(Run, created.run_id)
        assert (run.charge_per_contact, run.rebate_per_unresolved, run.rebate_per_unverified) == (3, 2, 1)
        assert count(session, "SELECT credit_balance FROM accounts") == 10_000 - 6


def test_a_plan_is_the_same_as_it_was_sent_and_as_it_was_returned(database: Database, owner: UUID) -> None:
    sent = order_of([ContactIn.model_validate({"full_name": "Ada Ex", "domain": "alpha.test", "n": 1.5, "x": None})])
    returned = GoalPlan.model_validate_json(sent.model_dump_json())

    run_with(database, owner, returned, token_for(database, owner, sent))

    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM runs") == 1


def test_a_token_is_used_once(database: Database, owner: UUID) -> None:
    plan = order(2)
    token = token_for(database, owner, plan)
    run_with(database, owner, plan, token)

    with pytest.raises(QuoteRefused, match="used before"):
        run_with(database, owner, plan, token)

    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM credit_ledger WHERE kind = 'charge'") == 1


def test_of_many_that_use_a_token_at_once_one_gets_a_run(database: Database, owner: UUID) -> None:
    plan = order(2)
    token = token_for(database, owner, plan)

    def attempt(_: int) -> bool:
        try:
            run_with(database, owner, plan, token)
        except QuoteRefused:
            return False
        return True

    with ThreadPoolExecutor(6) as clients:
        assert sum(clients.map(attempt, range(12))) == 1


def test_a_repeated_request_gets_its_run_though_the_token_is_used_and_expired(database: Database, owner: UUID) -> None:
    plan = order(2)
    token = token_for(database, owner, plan)
    first = run_with(database, owner, plan, token, key="order-1")
    with database.transaction() as session:
        session.execute(text("DELETE FROM signing_keys"))

    assert run_with(database, owner, plan, token, key="order-1") == CreatedRun(first.run_id, first.preset, is_new=False)
    with pytest.raises(IdempotencyConflict):
        run_with(database, owner, plan, None, key="order-1")


def test_an_expired_token_is_refused(database: Database, owner: UUID) -> None:
    plan = order(2)

    with pytest.raises(QuoteRefused, match="expired"):
        run_with(database, owner, plan, token_for(database, owner, plan, minutes=-1))


def test_another_accounts_token_is_refused(database: Database, owner: UUID) -> None:
    plan = order(2)

    with pytest.raises(QuoteRefused, match="your account's"):
        run_with(database, owner, plan, token_for(database, account(database).account_id, plan))


def test_a_token_for_another_plan_is_refused(database: Database, owner: UUID) -> None:
    with pytest.raises(QuoteRefused, match="another goal_plan"):
        run_with(database, owner, order(3), token_for(database, owner, order(2)))


@pytest.mark.parametrize("place", ["first", "middle", "last", "no signature", "letters", "empty"])
def test_a_token_that_was_changed_is_refused(database: Database, owner: UUID, place: str) -> None:
    plan = order(2)
    token = token_for(database, owner, plan)
    payload, _, signature = token.partition(".")
    changed = {
        "first": f"{'A' if payload[0] != 'A' else 'B'}{payload[1:]}.{signature}",
        "middle": f"{payload[:40]}{'A' if payload[40] != 'A' else 'B'}{payload[41:]}.{signature}",
        "last": f"{payload}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        "no signature": payload,
        "letters": "Zoë.ü",
        "empty": ".",
    }[place]

    with pytest.raises(QuoteRefused, match="your account's"):
        run_with(database, owner, plan, changed)


def test_a_run_that_is_refused_leaves_its_token_usable(database: Database) -> None:
    poor, plan = account(database, credits_granted=7).account_id, order(2)
    token = token_for(database, poor, plan)
    with pytest.raises(Exception, match="costs 8 credits"):
        run_with(database, poor, plan, token)
    with database.transaction() as session:
        session.execute(text("UPDATE accounts SET credit_balance = 8"))

    assert run_with(database, poor, plan, token).is_new


def test_what_a_domain_showed_counts_more_the_more_it_showed() -> None:
    usual = shares([], 0.5, 0.5)
    good = [shares([PatternCount("first.last", people, 0)], 0.5, 0.5) for people in (1, 10, 100)]
    bad = [shares([PatternCount("first.last", 0, people)], 0.5, 0.5)[0] for people in (1, 10, 100)]

    assert usual == (0.5, 0.5)
    assert 0.5 < good[0][0] < good[1][0] < good[2][0] < 1.0
    assert 0.5 > bad[0] > bad[1] > bad[2] > 0.0


def test_an_estimate_knows_the_plans_domains_and_the_accounts_earlier_runs(database: Database, owner: UUID) -> None:
    plan = order(100)
    with database.transaction() as session:
        unknown = expect(session, owner, plan)
        session.execute(
            text("INSERT INTO domain_patterns (domain, pattern, confirmed, refused) VALUES ('alpha.test', 'f', 50, 1)")
        )
        assert known_patterns(session, ["alpha.test"])
        known = expect(session, owner, plan)

    assert (unknown.with_email, unknown.verified) == (
        round(100 * USUALLY_FOUND),
        round(100 * USUALLY_FOUND * USUALLY_VERIFIED),
    )
    assert unknown.with_email < known.with_email <= 100
    assert unknown.verified < known.verified <= known.with_email


def test_nobody_is_expected_to_be_found_or_paid_for_where_nobody_is_looked_up(database: Database, owner: UUID) -> None:
    """At free-mail domains and hosts of profiles; the operator's lists count, too."""
    domains = ["alpha.test", "gmail.com", "linkedin.com", "en.linkedin.com"]
    plan = order_of([ContactIn(full_name=f"Ada Ex{n}", domain=domains[n % 4]) for n in range(400)])

    with database.transaction() as session:
        expected = expect(session, owner, plan, lists=Lists())

    assert (expected.with_email, expected.verified) == (
        round(100 * USUALLY_FOUND),
        round(100 * USUALLY_FOUND * USUALLY_VERIFIED),
    )


def test_an_estimate_learns_from_completed_runs_of_the_same_preset(database: Database, owner: UUID) -> None:
    run_id = run_with(database, owner, order(100), None).run_id
    with database.transaction() as session:
        session.execute(
            text("""UPDATE runs SET status = 'completed', started_at = now(), finished_at = now(),
                 preview = '{"delivered_counts": {"delivered_contacts": 10, "verified_emails": 5}}' WHERE id = :id"""),
            {"id": run_id},
        )
        session.execute(
            text(
                "INSERT INTO provider_spending (run_id, day, account_id, cost) VALUES (:id, '2026-11-30', :owner, 25)"
            ),
            {"id": run_id, "owner": owner},
        )

    with database.transaction() as session:
        mine, others = expect(session, owner, order(100)), expect(session, account(database).account_id, order(100))

    assert mine.with_email < 25 < others.with_email
    assert (mine.provider_cost, mine.known_contacts) == (25.0, 100)
    assert (others.provider_cost, others.known_contacts) == (0.0, 0)


def test_contacts_that_bring_an_address_have_one_already(database: Database, owner: UUID) -> None:
    plan = order_of([ContactIn(email="ada@alpha.test"), ContactIn(email="bo@alpha.test")], "verify_existing_emails")

    with database.transaction() as session:
        assert expect(session, owner, plan).with_email == 2
