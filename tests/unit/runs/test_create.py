"""An order becomes a run in the caller's own transaction, once per idempotency key."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from models.database import Database
from models.run import Run
from models.wire import ContactIn, GoalPlan
from pipeline.credits import RateCard
from pipeline.errors import IdempotencyConflict, InvalidInput, UnknownAccount
from pipeline.runs import create
from pipeline.runs.create import CreatedRun, create_run
from tests.factories import account, count, order, order_of


def test_a_run_is_part_of_the_callers_transaction(database: Database, owner: UUID) -> None:
    with pytest.raises(RuntimeError, match="the caller changed its mind"), database.transaction() as session:
        create_run(session, owner, order(), rate_card=RateCard())
        raise RuntimeError("the caller changed its mind")

    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM runs") == 0
        assert count(session, "SELECT count(*) FROM credit_ledger WHERE kind = 'charge'") == 0


def test_an_account_that_does_not_exist_is_a_sentence_and_leaves_the_callers_transaction_whole(
    database: Database,
) -> None:
    with database.transaction() as session:
        with pytest.raises(UnknownAccount, match="no account with this id"):
            create_run(session, uuid4(), order(), rate_card=RateCard())
        assert count(session, "SELECT count(*) FROM runs") == 0


@pytest.mark.parametrize("account_id", ["", "grace", 7, None])
def test_an_account_id_that_is_no_uuid_is_a_sentence_and_leaves_the_callers_transaction_whole(
    database: Database, account_id: object
) -> None:
    with database.transaction() as session:
        with pytest.raises(UnknownAccount, match="no account with this id"):
            create_run(session, account_id, order(), rate_card=RateCard())  # type: ignore[arg-type]
        assert count(session, "SELECT count(*) FROM runs") == 0


def test_contacts_of_one_domain_become_neighbours_and_remember_their_row(database: Database, owner: UUID) -> None:
    domains = ["beta.test", "alpha.test", "https://www.Beta.test/about", "alpha.test"]
    people = [ContactIn(full_name=f"Person {n}", domain=domain) for n, domain in enumerate(domains)]

    with database.transaction() as session:
        create_run(session, owner, order_of(people), rate_card=RateCard())

    with database.transaction() as session:
        rows = session.execute(text("SELECT input_row, domain FROM contacts ORDER BY position")).all()
    assert [tuple(row) for row in rows] == [
        (1, "alpha.test"),
        (3, "alpha.test"),
        (0, "beta.test"),
        (2, "https://www.Beta.test/about"),
    ]


def test_unknown_columns_are_kept_untouched(database: Database, owner: UUID) -> None:
    person = ContactIn.model_validate(
        {"full_name": "Person", "domain": "alpha.test", "crm_id": 7, "note": 'tab\there, quote" and \\ backslash'}
    )

    with database.transaction() as session:
        create_run(session, owner, order_of([person]), rate_card=RateCard())

    with database.transaction() as session:
        extra = session.execute(text("SELECT extra FROM contacts")).scalar_one()
        columns = session.execute(text("SELECT extra_columns FROM runs")).scalar_one()
    assert extra == {"crm_id": 7, "note": 'tab\there, quote" and \\ backslash'}
    assert columns == ["crm_id", "note"]


def test_the_same_key_gives_the_same_run_and_charges_once(database: Database, owner: UUID) -> None:
    def attempt(_: int) -> CreatedRun:
        with database.transaction() as session:
            return create_run(session, owner, order(), idempotency_key="order-1", rate_card=RateCard())

    with ThreadPoolExecutor(4) as clients:
        created = list(clients.map(attempt, range(8)))

    with database.transaction() as session:
        assert len({run.run_id for run in created}) == 1
        assert sum(run.is_new for run in created) == 1
        assert count(session, "SELECT count(*) FROM credit_ledger WHERE kind = 'charge'") == 1


def test_what_takes_long_for_a_large_order_is_done_while_no_transaction_is_open(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres ends a session that is idle in a transaction for five seconds."""
    owner, digest_of = account(database).account_id, create.digest_of  # watched, not replaced
    at_work: list[int] = []

    def digest(plan: GoalPlan) -> bytes:
        at_work.append(database.engine.pool.checkedout())  # type: ignore[attr-defined]
        return digest_of(plan)

    monkeypatch.setattr(create, "digest_of", digest)
    for _ in range(2):
        with database.transaction() as session:
            create_run(session, owner, order(), rate_card=RateCard(), idempotency_key="once")

    assert at_work == [0, 0]


def test_the_same_key_with_another_body_is_refused(database: Database, owner: UUID) -> None:
    with database.transaction() as session:
        create_run(session, owner, order(2), idempotency_key="order-1", rate_card=RateCard())

    with pytest.raises(IdempotencyConflict, match="another body"), database.transaction() as session:
        create_run(session, owner, order(3), idempotency_key="order-1", rate_card=RateCard())


def test_the_same_key_of_another_account_is_another_run(database: Database) -> None:
    with database.transaction() as session:
        first = create_run(
            session, account(database).account_id, order(), idempotency_key="order-1", rate_card=RateCard()
        )
    with database.transaction() as session:
        second = create_run(
            session, account(database).account_id, order(), idempotency_key="order-1", rate_card=RateCard()
        )

    assert first.run_id != second.run_id
    with database.transaction() as session:
        assert session.get_one(Run, second.run_id).account_id != session.get_one(Run, first.run_id).account_id


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "é", "a\x00b"])
def test_a_key_that_is_none_is_refused(database: Database, key: str, owner: UUID) -> None:
    with pytest.raises(InvalidInput, match="1 to 255 printable"), database.transaction() as session:
        create_run(session, owner, order(), rate_card=RateCard(), idempotency_key=key)
    with database.transaction() as session:
        assert create_run(session, owner, order(), rate_card=RateCard(), idempotency_key="x" * 255).is_new
