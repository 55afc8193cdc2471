"""A person who is in a run several times is charged once, and paid back once."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy import text

from models.database import Database
from models.wire import ContactIn
from pipeline.credits import RateCard
from pipeline.ledger import prove
from pipeline.outcomes import Outcome
from pipeline.runs import lifecycle
from pipeline.runs.create import create_run
from pipeline.runs.retry import retry_run
from pipeline.runs.work_order import WorkOrder
from tests.factories import finish_chunk, found, leased_chunk, not_found, order_of

GRACE = [
    ContactIn(first_name="Grace", last_name="Hopper", domain="beta.test"),
    ContactIn(first_name="Hopper", last_name="Grace", domain="https://www.beta.test"),
]
ADA = ContactIn(full_name="Ada Byrne", domain="alpha.test")
BO = ContactIn(full_name="Bo Ek", domain="beta.test")
FIVE = [GRACE[0], BO, ADA, GRACE[1], ContactIn(full_name="Dr. Ada Byrne, MBA", domain="alpha.test")]
"""Ada is at the positions 0 and 1, Grace at 2 and 3, and Bo at 4."""


def test_contacts_of_one_person_are_neighbours_and_all_but_the_first_are_repeats() -> None:
    order = WorkOrder.of(FIVE, "full_pipeline")

    assert [place.row for place in order.places] == [2, 4, 0, 3, 1]
    assert order.repeats == [1, 3]
    assert order.charged == 3


def test_a_preset_that_verifies_counts_addresses() -> None:
    people = [ContactIn(email=email) for email in ("grace@a.test", "mailto:Grace@A.test", "ada@a.test")]

    assert WorkOrder.of(people, "verify_existing_emails").charged == 2


@pytest.mark.parametrize(
    ("outcomes", "price"),
    [
        ([found(n) for n in range(5)], 12),
        ([not_found(0), not_found(1), found(2), found(3), found(4)], 8),
        ([not_found(n) for n in range(5)], 0),
    ],
    ids=["all found", "one person not found", "nobody found"],
)
def test_a_cancelled_run_costs_each_person_once(
    database: Database, owner: UUID, outcomes: Sequence[Outcome], price: int
) -> None:
    run_id = started(database, owner)
    before = balance(database, owner)
    finish_chunk(database, leased_chunk(database, run_id), outcomes)

    with database.transaction() as session:
        run = lifecycle.cancel(session, owner, run_id)

    assert run.charged_contacts == 3
    assert run.preview["pricing"] == {"charged_credits": 12, "rebate_credits": 12 - price, "net_credits": price}
    assert balance(database, owner) == before + 12 - price
    assert run.preview["delivered_counts"]["delivered_contacts"] == sum(each.email is not None for each in outcomes)
    with database.transaction() as session:
        assert not prove(session).mistakes


def test_a_retry_pays_once_for_each_person_who_is_still_missing(database: Database, owner: UUID) -> None:
    run_id = started(database, owner)
    finish_chunk(database, leased_chunk(database, run_id), [found(0), found(1), found(4)])

    with database.transaction() as session:
        lifecycle.cancel(session, owner, run_id)
        again = retry_run(session, owner, run_id)

    with database.transaction() as session:
        charged, repeats = session.execute(
            text("SELECT charged_contacts, repeats FROM runs WHERE id = :id"), {"id": again.run_id}
        ).one()
    assert (charged, repeats) == (1, [1, 3])


def started(database: Database, owner: UUID) -> UUID:
    with database.transaction() as session:
        run_id = create_run(session, owner, order_of(FIVE), rate_card=RateCard()).run_id
    with database.transaction() as session:
        lifecycle.begin_stage(session, run_id, "email_lookup", "worker", 10)
    return run_id


def balance(database: Database, owner: UUID) -> int:
    with database.transaction() as session:
        return int(session.scalar(text("SELECT credit_balance FROM accounts WHERE id = :id"), {"id": owner}) or 0)
