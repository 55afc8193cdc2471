"""Pauses that double are the same in Python and in SQL."""

import pytest
from sqlalchemy import Integer, literal, select

from models.database import Database
from models.pauses import doubling_pause, doubling_pause_sql


def test_a_pause_doubles_until_it_is_as_long_as_it_may_be() -> None:
    assert [doubling_pause(attempt, 60) for attempt in (1, 2, 3, 6, 7, 5000)] == [1, 2, 4, 32, 60, 60]
    assert [doubling_pause(attempt, 600, first_s=10) for attempt in (1, 2, 7)] == [10, 20, 600]


@pytest.mark.parametrize("first_s", [1, 10])
def test_postgres_computes_the_same_pause(database: Database, first_s: int) -> None:
    attempts = range(1, 15)
    with database.transaction() as session:
        in_sql = [
            session.scalars(select(doubling_pause_sql(literal(attempt, Integer), 300, first_s))).one()
            for attempt in attempts
        ]

    assert in_sql == [doubling_pause(attempt, 300, first_s) for attempt in attempts]
