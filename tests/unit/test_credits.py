"""Credits: never more than the account has, never twice, and the ledger always adds up."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event

from models.database import Database
from models.run import Run
from pipeline.credits import Delivered, RateCard, at_most_charged, rebate, rebate_of_completed, rebate_of_stopped
from pipeline.errors import InsufficientCredits
from pipeline.runs.create import create_run
from pipeline.runs.lifecycle import cancel
from pipeline.runs.retry import retry_run
from settings import Settings
from tests.factories import account, count, order, pending_run


def test_a_run_is_charged_when_it_is_created(database: Database) -> None:
    owner = account(database, credits_granted=100).account_id

    pending_run(database, count=3, account_id=owner)

    with database.transaction() as session:
        assert count(session, "SELECT credit_balance FROM accounts") == 100 - 3 * 4


def test_a_run_that_costs_too_much_is_refused_and_leaves_nothing_behind(database: Database) -> None:
    owner = account(database, credits_granted=11).account_id

    with pytest.raises(InsufficientCredits, match=r"costs 12 credits.*has 11"):
        pending_run(database, count=3, account_id=owner)

    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM runs") == 0
        assert count(session, "SELECT count(*) FROM contacts") == 0
        assert count(session, "SELECT credit_balance FROM accounts") == 11


def test_runs_created_at_once_never_overdraw_the_account(database: Database) -> None:
    owner = account(database, credits_granted=3 * 4 * 5).account_id

    def attempt(_: int) -> bool:
        try:
            pending_run(database, count=3, account_id=owner)
        except InsufficientCredits:
            return False
        return True

    with ThreadPoolExecutor(4) as clients:
        accepted = sum(clients.map(attempt, range(12)))

    with database.transaction() as session:
        assert accepted == 5
        assert count(session, "SELECT credit_balance FROM accounts") == 0


def test_the_accounts_row_is_locked_last(database: Database) -> None:
    """All runs of the account wait for it where they end: not for as long as contacts are being written."""
    owner = account(database, credits_granted=100).account_id
    written: list[str] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        written.extend(re.findall(r"^\s*(?:INSERT INTO|UPDATE) (\w+)", statement))

    run_id = pending_run(database, count=3, account_id=owner)
    created = written[-2:]
    with database.transaction() as session:
        cancel(session, owner, run_id)
    with database.transaction() as session:
        retry_run(session, owner, run_id)

    assert created == written[-2:] == ["accounts", "credit_ledger"]


def test_a_rebate_is_paid_once_however_often_it_is_asked_for(database: Database) -> None:
    owner = account(database, credits_granted=100).account_id
    run_id = pending_run(database, count=3, account_id=owner)

    for _ in range(3):
        with database.transaction() as session:
            rebate(session, session.get_one(Run, run_id), 8)

    with database.transaction() as session:
        assert count(session, "SELECT credit_balance FROM accounts") == 100 - 12 + 8
        assert count(session, "SELECT sum(credits) FROM credit_ledger") == 100 - 12 + 8


def test_the_example_of_the_contract_gives_back_twenty_credits() -> None:
    run = Run(charge_per_contact=4, rebate_per_unresolved=4, rebate_per_unverified=0)

    assert rebate_of_completed(run, Delivered(contacts=100, with_email=95, verified=78)) == 20


def test_a_rate_card_may_also_give_back_for_unverified_addresses() -> None:
    run = Run(charge_per_contact=4, rebate_per_unresolved=4, rebate_per_unverified=1)

    assert rebate_of_completed(run, Delivered(contacts=100, with_email=95, verified=78)) == 20 + 17


def test_a_stopped_run_gives_back_the_full_price_of_what_it_did_not_deliver() -> None:
    run = Run(charge_per_contact=4, rebate_per_unresolved=1, rebate_per_unverified=0)

    assert rebate_of_stopped(run, Delivered(contacts=100, with_email=30, verified=10)) == 70 * 4


def test_a_retry_never_gives_back_more_than_it_was_charged() -> None:
    retry_for_two = Run(charge_per_contact=4, charged_contacts=2)

    assert [at_most_charged(retry_for_two, credits_back) for credits_back in (4, 8, 12)] == [4, 8, 8]


def test_the_rate_card_is_the_one_that_the_settings_say() -> None:
    settings = Settings(credits_per_contact=7, rebate_per_unresolved=6, rebate_per_unverified=5)

    assert RateCard.of(settings) == RateCard(per_contact=7, rebate_per_unresolved=6, rebate_per_unverified=5)


def test_a_new_price_does_not_change_an_old_run(database: Database, owner: UUID) -> None:
    with database.transaction() as session:
        run_id = create_run(session, owner, order(2), rate_card=RateCard(per_contact=9)).run_id

    pending_run(database, count=2, account_id=owner)

    with database.transaction() as session:
        assert session.get_one(Run, run_id).charge_per_contact == 9
