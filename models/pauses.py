"""Time in SQL, and pauses that double from one attempt to the next."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, func

MOST_DOUBLINGS = 10


def seconds(amount: Any) -> ColumnElement[timedelta]:
    """An interval of seconds. `amount` is a number or an expression."""
    return func.make_interval(0, 0, 0, 0, 0, 0, amount)


def in_seconds(amount: Any) -> ColumnElement[datetime]:
    """The time so many seconds after the transaction began."""
    return func.now() + seconds(amount)


def doubling_pause(attempt: int, longest_s: int, first_s: int = 1) -> int:
    """Seconds to wait after this attempt, counted from 1: `first_s`, twice as many, ... up to `longest_s`."""
    return min(longest_s, first_s << min(attempt - 1, MOST_DOUBLINGS))


def doubling_pause_sql(attempt: SQLColumnExpression[int], longest_s: int, first_s: int = 1) -> ColumnElement[float]:
    """`doubling_pause` in SQL, for attempts that a column counts."""
    return func.least(longest_s, first_s * func.power(2, func.least(attempt - 1, MOST_DOUBLINGS)))
