"""What paid questions cost is summed as it changes, and equals the sum over the answers."""

from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database import Database
from models.run import Run
from pipeline.lookup.providers.journal import OverBudget, Question, Reserved
from pipeline.lookup.providers.source import NotFound
from pipeline.memory import provider_answers
from pipeline.memory.provider_answers import Caps
from tests.factories import pending_run

SUMS = """
SELECT run_id, (asked_at AT TIME ZONE 'UTC')::date, sum(cost) FROM provider_answers
GROUP BY 1, 2 HAVING sum(cost) <> 0 ORDER BY 1, 2
"""
KEPT = "SELECT run_id, day, cost FROM provider_spending WHERE cost <> 0 ORDER BY 1, 2"


def question(number: int, again_costs: int = 3) -> Question:
    return Question(
        "example", bytes([number]) * 32, Decimal(3), 60.0, may_ask_again=True, again_costs=Decimal(again_costs)
    )


def assert_sums_are_right(session: Session) -> None:
    assert session.execute(text(KEPT)).all() == session.execute(text(SUMS)).all()


def test_sums_follow_each_way_in_which_an_answer_changes(database: Database) -> None:
    run_id = pending_run(database)
    with database.transaction() as session:
        account_id = session.get_one(Run, run_id).account_id
    later_run = pending_run(database, account_id=account_id)
    asked = [question(number) for number in range(4)]
    with database.transaction() as session:
        reserved = provider_answers.reserve(session, account_id, run_id, asked, Caps())
        assert_sums_are_right(session)
        provider_answers.record(session, account_id, run_id, asked[0], NotFound(cost=Decimal(1)))
        assert_sums_are_right(session)
        assert isinstance(reserved[1], Reserved)
        provider_answers.retract(session, account_id, asked[1], reserved[1])
        assert_sums_are_right(session)
        session.execute(text("UPDATE provider_answers SET asked_at = asked_at - interval '2 days'"))
        assert_sums_are_right(session)
        provider_answers.reserve(session, account_id, later_run, asked, Caps())
        assert_sums_are_right(session)
        session.execute(text("DELETE FROM provider_answers WHERE answered_at IS NOT NULL"))
        assert_sums_are_right(session)


@pytest.mark.parametrize("caps", [Caps(per_run=Decimal(7)), Caps(per_account_day=Decimal(7))])
def test_a_budget_is_held_over_several_transactions(database: Database, caps: Caps) -> None:
    run_id = pending_run(database)
    reserved = []
    for number in range(3):
        with database.transaction() as session:
            account_id = session.get_one(Run, run_id).account_id
            reserved += provider_answers.reserve(session, account_id, run_id, [question(number)], caps)

    assert [type(each) for each in reserved] == [Reserved, Reserved, OverBudget]
