"""The ledger: whatever happens to runs, each entry sums to zero, held is what runs hold, and balances are sums."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event, text

from models.database import Database
from models.run import Run
from models.run_chunk import COMPILE
from models.schema import new_id
from models.transitions import RunError
from pipeline.credits import RateCard, grant
from pipeline.errors import InsufficientCredits, LeaseLost, QuoteRefused, RunStateConflict
from pipeline.ledger import Proof, Standing, prove, standing, statement_page
from pipeline.outcomes import Outcome
from pipeline.quotes.tokens import digest_of, issue
from pipeline.runs import lifecycle
from pipeline.runs.create import create_run
from pipeline.runs.retry import retry_run
from tests.factories import (
    LOOKUP,
    VERIFY,
    WORKER,
    account,
    count,
    finish_chunk,
    found,
    lease_chunk,
    not_found,
    order,
    pending_run,
    skipped,
    valid,
)

CONTACTS, PRICE = 3, 12
NUMBERS = st.integers(0, 99)
"""Of runs. How many there are after several were begun at once is up to the threads, and no draw may depend on it."""


def proof_of(database: Database) -> Proof:
    with database.transaction() as session:
        return prove(session)


def standing_of(database: Database, account_id: UUID) -> Standing:
    with database.transaction() as session:
        return standing(session, account_id)


def work_to_the_end(database: Database, run_id: UUID, with_address: int) -> None:
    """Both stages and compiling, as the chain does it."""
    outcomes: dict[str, Callable[[int], Outcome]] = {
        LOOKUP: lambda position: found(position) if position < with_address else not_found(position),
        VERIFY: lambda position: valid(position) if position < with_address else skipped(position),
    }
    for stage in (LOOKUP, VERIFY, COMPILE):
        with database.transaction() as session:
            if lifecycle.begin_stage(session, run_id, stage, WORKER, CONTACTS) is lifecycle.Beginning.OVER:
                return
        lease = lease_chunk(database, run_id, stage)
        if lease and stage == COMPILE:
            with database.transaction() as session:
                lifecycle.complete(session, lease, [])
        elif lease:
            undone = range(lease.first_position, lease.last_position + 1)
            finish_chunk(database, lease, [outcomes[stage](position) for position in undone])


class AnyMovements(RuleBasedStateMachine):
    """Two accounts top up, quote, create, cancel and retry runs, which complete or fail: in any order, and at once."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.runs: list[tuple[UUID, UUID]] = []
        self.tokens: list[tuple[UUID, str]] = []
        self.used: set[str | None] = set()

    @initialize()
    def open_accounts(self) -> None:
        self.accounts = [account(self.database, credits_granted=3 * PRICE).account_id for _ in range(2)]

    @rule(which=st.integers(0, 1), credits_granted=st.integers(0, 2 * PRICE))
    def top_up(self, which: int, credits_granted: int) -> None:
        with self.database.transaction() as session:
            grant(session, self.accounts[which], credits_granted)

    @rule(which=st.integers(0, 1), per_contact=st.integers(0, 6))
    def quote(self, which: int, per_contact: int) -> None:
        rates = RateCard(per_contact, rebate_per_unresolved=per_contact // 2, rebate_per_unverified=per_contact)
        with self.database.transaction() as session:
            token, _ = issue(session, self.accounts[which], digest_of(order(CONTACTS)), rates, minutes=15)
        self.tokens.append((self.accounts[which], token))

    @rule(which=st.integers(0, 1), data=st.data())
    def create(self, which: int, data: st.DataObject) -> None:
        owner, token = data.draw(st.sampled_from([*self.tokens, (None, None)]))
        is_free = token not in self.used and owner in (None, self.accounts[which])
        try:
            with self.database.transaction() as session:
                created = create_run(
                    session, self.accounts[which], order(CONTACTS), rate_card=RateCard(), quote_token=token
                )
        except InsufficientCredits:
            return
        except QuoteRefused:
            assert not is_free
            return
        assert is_free
        self.runs.append((self.accounts[which], created.run_id))
        self.used.update({token} - {None})

    @rule(number=NUMBERS, with_address=st.integers(0, CONTACTS))
    def work(self, number: int, with_address: int) -> None:
        for _, run_id in self._chosen([number]):
            work_to_the_end(self.database, run_id, with_address)

    @rule(number=NUMBERS)
    def cancel(self, number: int) -> None:
        for owner, run_id in self._chosen([number]):
            with suppress(RunStateConflict), self.database.transaction() as session:
                lifecycle.cancel(session, owner, run_id)

    @rule(number=NUMBERS)
    def fail(self, number: int) -> None:
        for _, run_id in self._chosen([number]):
            with self.database.transaction() as session:
                lifecycle.fail(session, run_id, RunError("stage_failed", "Again and again.", LOOKUP))

    @rule(number=NUMBERS)
    def retry(self, number: int) -> None:
        for owner, run_id in self._chosen([number]):
            with suppress(RunStateConflict, InsufficientCredits), self.database.transaction() as session:
                created = retry_run(session, owner, run_id)
                if created.is_new:
                    self.runs.append((owner, created.run_id))

    @rule(
        what=st.lists(st.sampled_from(["create", "work", "cancel", "fail", "retry"]), min_size=2, max_size=6),
        numbers=st.lists(NUMBERS, min_size=1, max_size=2),
    )
    def do_several_at_once(self, what: list[str], numbers: list[int]) -> None:
        """Upon few runs, so that they get into each other's way."""
        upon = self._chosen(numbers)
        with ThreadPoolExecutor(len(what)) as clients:
            for each in clients.map(partial(self._do, upon), what, range(len(what))):
                self.runs += each

    def _chosen(self, numbers: list[int]) -> list[tuple[UUID, UUID]]:
        """The runs with these numbers, if there are any runs."""
        return [self.runs[number % len(self.runs)] for number in numbers if self.runs]

    def _do(self, upon: list[tuple[UUID, UUID]], what: str, number: int) -> list[tuple[UUID, UUID]]:
        """Do one of these; return the runs that came of it."""
        if what != "create" and not upon:
            return []
        owner, run_id = upon[number % len(upon)] if upon else (self.accounts[number % 2], None)
        if what == "work" and run_id:
            with suppress(LeaseLost):
                work_to_the_end(self.database, run_id, with_address=number % (CONTACTS + 1))
            return []
        with suppress(RunStateConflict, InsufficientCredits), self.database.transaction() as session:
            if what == "create":
                created = create_run(session, owner, order(CONTACTS), rate_card=RateCard())
            elif run_id and what == "retry":
                created = retry_run(session, owner, run_id)
            elif run_id and what == "cancel":
                lifecycle.cancel(session, owner, run_id)
                return []
            elif run_id:
                lifecycle.fail(session, run_id, RunError("stage_failed", "Again and again.", LOOKUP))
                return []
            return [(owner, created.run_id)] if created.is_new else []
        return []

    @invariant()
    def all_sums_agree(self) -> None:
        proof = proof_of(self.database)
        assert proof.mistakes == []
        assert proof.totals.accounts + proof.totals.held + proof.totals.revenue + proof.totals.issued == 0

    @invariant()
    def what_accounts_show_is_what_the_ledger_holds(self) -> None:
        for account_id in self.accounts:
            with self.database.transaction() as session:
                booked = session.execute(
                    text("SELECT sum(credits), sum(held) FROM credit_ledger WHERE account_id = :id"), {"id": account_id}
                ).one()
            assert standing_of(self.database, account_id) == tuple(booked)


def test_all_sums_agree_whatever_happens_to_runs_in_any_order(database: Database) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: AnyMovements(database),
        settings=settings(max_examples=12, stateful_step_count=15, suppress_health_check=list(HealthCheck)),
    )


def test_fifty_submits_at_once_with_credits_for_ten_make_exactly_ten_runs(database: Database) -> None:
    owner = account(database, credits_granted=10 * PRICE).account_id

    def submit(_: int) -> bool:
        try:
            pending_run(database, count=CONTACTS, account_id=owner)
        except InsufficientCredits:
            return False
        return True

    with ThreadPoolExecutor(8) as clients:
        accepted = sum(clients.map(submit, range(50)))

    assert accepted == 10
    assert standing_of(database, owner) == (0, 10 * PRICE)
    assert proof_of(database).mistakes == []


def test_a_run_ends_with_its_price_earned_or_paid_back(database: Database, owner: UUID) -> None:
    run_id = pending_run(database, CONTACTS, owner)
    work_to_the_end(database, run_id, with_address=2)

    with database.transaction() as session:
        entries = [
            (entry.kind, entry.credits, entry.held, entry.revenue, entry.issued)
            for entry in reversed(statement_page(session, owner, None, 10))
        ]
    assert entries == [
        ("grant", 10_000, 0, 0, -10_000),
        ("charge", -PRICE, PRICE, 0, 0),
        ("rebate", 4, -PRICE, 8, 0),
    ]


def test_what_providers_cost_is_booked_when_its_run_is_over(database: Database, owner: UUID) -> None:
    run_id = pending_run(database, CONTACTS, owner)
    with database.transaction() as session:
        session.execute(
            text("INSERT INTO provider_answers (account_id, provider, question, run_id, cost) VALUES"
                 " (:owner, 'one', sha256('1'), :run, 0.25), (:owner, 'one', sha256('2'), :run, 1.5)"),
            {"owner": owner, "run": run_id},
        )  # fmt: skip

    with database.transaction() as session:
        lifecycle.cancel(session, owner, run_id)

    with database.transaction() as session:
        settled = statement_page(session, owner, None, 1)[0]
    assert (settled.kind, settled.provider_cost, settled.provider_debt) == ("rebate", Decimal("1.75"), Decimal("-1.75"))


MISTAKES = {
    "balance is": "UPDATE accounts SET credit_balance = credit_balance + 1",
    "was charged": "DELETE FROM credit_ledger WHERE kind = 'charge'",
    "not settled": "DELETE FROM credit_ledger WHERE kind = 'rebate'",
    "are held": "UPDATE credit_ledger SET held = held + 1, revenue = revenue - 1 WHERE kind = 'rebate'",
    "paid back more": "UPDATE credit_ledger SET credits = 13, revenue = -1 WHERE kind = 'rebate'",
}


@pytest.mark.parametrize(("mistake", "breakage"), MISTAKES.items(), ids=list(MISTAKES))
def test_the_check_finds_what_does_not_add_up(database: Database, owner: UUID, mistake: str, breakage: str) -> None:
    run_id = pending_run(database, CONTACTS, owner)
    with database.transaction() as session:
        lifecycle.cancel(session, owner, run_id)
    assert proof_of(database).mistakes == []

    with database.transaction() as session:
        session.execute(text(breakage))

    assert any(mistake in each for each in proof_of(database).mistakes)


def test_the_statement_pages_through_an_accounts_own_entries_newest_first(database: Database, owner: UUID) -> None:
    account(database)
    for credits_granted in range(1, 5):
        with database.transaction() as session:
            grant(session, owner, credits_granted)

    pages: list[list[int]] = []
    before: UUID | None = None
    while len(pages) < 5:
        with database.transaction() as session:
            page = statement_page(session, owner, before, 2)
        pages.append([entry.credits for entry in page])
        if not page:
            break
        before = page[-1].id

    assert pages == [[4, 3], [2, 1], [10_000], []]


def test_the_statement_can_leave_out_entries_of_nothing(database: Database, owner: UUID) -> None:
    run_id = pending_run(database, CONTACTS, owner)
    work_to_the_end(database, run_id, with_address=CONTACTS)

    with database.transaction() as session:
        everything = statement_page(session, owner, None, 10)
        moved = statement_page(session, owner, None, 2, only_moved=True)

    assert [entry.credits for entry in everything] == [0, -PRICE, 10_000]
    assert [entry.credits for entry in moved] == [-PRICE, 10_000]


def test_credits_take_one_insert_and_one_update_at_a_runs_start_and_at_its_end(database: Database) -> None:
    owner = account(database).account_id
    written: list[str] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        first = statement.split("(")[0].split()
        if statement.startswith(("INSERT INTO credit_ledger", "UPDATE accounts")):
            written.append(first[0])

    run_id = pending_run(database, CONTACTS, owner)
    assert sorted(written) == ["INSERT", "UPDATE"]

    written.clear()
    with database.transaction() as session:
        lifecycle.cancel(session, owner, run_id)
    assert sorted(written) == ["INSERT", "UPDATE"]


def test_a_process_of_the_release_before_writes_entries_that_balance(database: Database, owner: UUID) -> None:
    """It knows nothing but `credits`, and may insert a rebate that is there already."""
    run_id = pending_run(database, CONTACTS, owner)
    insert = (
        "INSERT INTO credit_ledger (id, account_id, run_id, kind, credits) VALUES (:id, :owner, :run, :kind, :credits)"
        " ON CONFLICT (run_id, kind) DO NOTHING"
    )
    change = "UPDATE accounts SET credit_balance = credit_balance + :credits WHERE id = :owner"

    def move(kind: str, run: UUID | None, amount: int, *statements: str) -> None:
        with database.transaction() as session:
            for statement in statements:
                values = {"id": new_id(), "owner": owner, "run": run, "kind": kind, "credits": amount}
                session.execute(text(statement), {name: values[name] for name in text(statement).compile().params})

    move("grant", None, 50, insert, change)
    with database.transaction() as session:
        session.execute(text("DELETE FROM credit_ledger WHERE kind = 'charge'"))
    move("charge", run_id, -PRICE, insert)
    with database.transaction() as session:
        session.execute(
            text("UPDATE runs SET status = 'cancelled', finished_at = now() WHERE id = :id"), {"id": run_id}
        )
    for _ in range(2):
        move("rebate", run_id, 8, insert)
    move("rebate", None, 8, change)

    assert proof_of(database).mistakes == []
    with database.transaction() as session:
        assert count(session, "SELECT sum(revenue) FROM credit_ledger") == PRICE - 8
        assert session.get_one(Run, run_id).charged_contacts == CONTACTS
