"""Transactions that hold no lock in common remember the same things at once: neither waits for the other for ever."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database import Database
from pipeline.evidence import Evidence, ReplyEvidence
from pipeline.memory.domain_patterns import learn_patterns
from pipeline.memory.lookups import remember_people
from pipeline.memory.verifications import remember_verdicts
from pipeline.outcomes import Outcome
from tests.factories import count, found, searched, valid
from tests.faults.engine import wait_until

ROWS = 9
MIDDLE = "SELECT 1 FROM {} ORDER BY {} OFFSET 4 LIMIT 1 FOR UPDATE"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"

Remember = Callable[[Session, UUID, Sequence[Outcome]], None]


def learn(session: Session, _account_id: UUID, outcomes: Sequence[Outcome]) -> None:
    learn_patterns(session, outcomes)


def learned(number: int) -> Outcome:
    return found(number, f"d{number}.test")


def looked_up(number: int) -> Outcome:
    return searched(found(number), "alpha.test", number.to_bytes(32))


def verified(number: int) -> Outcome:
    return valid(number)._replace(evidence=Evidence(ReplyEvidence("accepted", "mx.alpha.test", 250), catch_all=False))


KINDS = {
    "patterns": ("domain_patterns", "domain, pattern", learn, learned),
    "people": ("lookups", "account_id, person", remember_people, looked_up),
    "verdicts": ("verifications", "account_id, address", remember_verdicts, verified),
}


@pytest.mark.parametrize(("table", "key", "remember", "outcome"), list(KINDS.values()), ids=list(KINDS))
def test_two_that_remember_the_same_in_opposite_orders_both_commit(
    database: Database, owner: UUID, table: str, key: str, remember: Remember, outcome: Callable[[int], Outcome]
) -> None:
    """Both have begun when the row in the middle is free: without one order each would hold what the other needs."""
    outcomes = in_order_of_key(database, owner, table, key, remember, [outcome(number) for number in range(ROWS)])

    def write(theirs: Sequence[Outcome]) -> None:
        with database.transaction() as session:
            remember(session, owner, theirs)

    with ThreadPoolExecutor(2) as pool:
        with database.transaction() as holding:
            holding.execute(text(MIDDLE.format(table, key)))
            writers = [pool.submit(write, outcomes), pool.submit(write, outcomes[::-1])]
            wait_until(lambda: waiting(database) >= 2, "two writers that wait", seconds=10)
        for writer in writers:
            writer.result(timeout=30)

    with database.transaction() as session:
        assert count(session, f"SELECT count(*) FROM {table}") == ROWS


def in_order_of_key(
    database: Database, owner: UUID, table: str, key: str, remember: Remember, outcomes: Sequence[Outcome]
) -> Sequence[Outcome]:
    """Remember each once, one after the other, and sort them by the key of their rows."""
    ranks = []
    for outcome in outcomes:
        with database.transaction() as session:
            remember(session, owner, [outcome])
            newest = f"SELECT {key} FROM {table} WHERE xmin = pg_current_xact_id()::xid"
            ranks.append(tuple(session.execute(text(newest)).one()))
    return [outcome for _, outcome in sorted(zip(ranks, outcomes, strict=True), key=lambda ranked: ranked[0])]


def waiting(database: Database) -> int:
    with database.transaction() as session:
        return count(session, WAITING)
