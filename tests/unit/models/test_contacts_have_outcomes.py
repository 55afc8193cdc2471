"""An outcome, like a deferral, has a contact: none can be written without one, and it is deleted with it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.database import Database
from models.schema import new_id
from tests.factories import count, pending_run
from tests.faults.engine import wait_until

OF_CONTACT = {
    "outcomes": "INSERT INTO outcomes (run_id, stage, position, status, reason, score, evidence)"
    " SELECT run, 'email_lookup', p, 'not_found', 'syntax', 0, '{}' "
    "FROM unnest(CAST(:runs AS uuid[])) run, unnest(CAST(:positions AS int[])) p",
    "deferrals": "INSERT INTO deferrals (run_id, stage, position, times, until, reason)"
    " SELECT run, 'email_lookup', p, 1, now(), 'greylisted' "
    "FROM unnest(CAST(:runs AS uuid[])) run, unnest(CAST(:positions AS int[])) p",
}
DELETE = "DELETE FROM contacts WHERE run_id = :run_id AND position = ANY(:positions)"

every_table = pytest.mark.parametrize("table", OF_CONTACT)


def add(session: Session, table: str, run_id: UUID, *positions: int) -> None:
    add_to_each(session, table, [run_id], *positions)


def add_to_each(session: Session, table: str, runs: Sequence[UUID], *positions: int) -> None:
    """In one statement."""
    session.execute(text(OF_CONTACT[table]), {"runs": list(runs), "positions": list(positions)})


def left(database: Database, table: str) -> list[int]:
    with database.transaction() as session:
        return list(session.scalars(text(f"SELECT position FROM {table} ORDER BY run_id, position")))


@every_table
def test_one_contact_that_is_missing_refuses_the_whole_statement(database: Database, table: str) -> None:
    run_id = pending_run(database, count=3)

    with pytest.raises(IntegrityError, match="contacts_exist"), database.transaction() as session:
        add(session, table, run_id, 0, 1, 3)

    assert left(database, table) == []


@every_table
@pytest.mark.parametrize("positions", [(1, 2), (3,), (0, 3), (1, 90), (-1, 0), (-(2**31), 2**31 - 1)])
def test_a_contact_that_was_deleted_or_never_was_is_missing_wherever_it_is(
    database: Database, table: str, positions: tuple[int, ...]
) -> None:
    """Whether the rows lie close together, which one look checks, or not."""
    run_id = pending_run(database, count=5)
    with database.transaction() as session:
        session.execute(text(DELETE), {"run_id": run_id, "positions": [2, 3]})

    with pytest.raises(IntegrityError, match="contacts_exist"), database.transaction() as session:
        add(session, table, run_id, *positions)

    assert left(database, table) == []


@every_table
@pytest.mark.parametrize("positions", [(0, 1), (0, 4), (1, 4, 0), (0, 39), (4,)])
def test_rows_of_contacts_that_exist_are_added_wherever_they_are(
    database: Database, table: str, positions: tuple[int, ...]
) -> None:
    run_id = pending_run(database, count=40)
    with database.transaction() as session:
        session.execute(text(DELETE), {"run_id": run_id, "positions": [2, 3]})
        add(session, table, run_id, *positions)

    assert left(database, table) == sorted(positions)


@every_table
def test_one_run_without_a_contact_refuses_the_rows_of_several(database: Database, table: str) -> None:
    runs = [pending_run(database, count=contacts) for contacts in (2, 1, 2)]

    for wanted in (runs, [runs[0], new_id()]):
        with pytest.raises(IntegrityError, match="contacts_exist"), database.transaction() as session:
            add_to_each(session, table, wanted, 0, 1)

    with database.transaction() as session:
        add_to_each(session, table, [runs[0], runs[2]], 0, 1)
    assert left(database, table) == [0, 1, 0, 1]


@every_table
def test_what_a_contact_has_is_deleted_with_it_and_nothing_else_is(database: Database, table: str) -> None:
    first, second = pending_run(database, count=4), pending_run(database, count=4)
    with database.transaction() as session:
        add(session, table, first, 0, 1, 2, 3)
        add(session, table, second, 0, 1, 2, 3)

    with database.transaction() as session:
        session.execute(text(DELETE), {"run_id": first, "positions": [0, 2]})

    assert left(database, table) == [1, 3, 0, 1, 2, 3]


@every_table
def test_what_its_contacts_have_is_deleted_with_a_run(database: Database, table: str) -> None:
    run_id = pending_run(database, count=2)
    with database.transaction() as session:
        add(session, table, run_id, 0, 1)

    with database.transaction() as session:
        session.execute(text("DELETE FROM credit_ledger"))
        session.execute(text("DELETE FROM runs"))

    assert left(database, table) == []


@every_table
def test_what_contacts_have_is_truncated_with_them(database: Database, table: str) -> None:
    run_id = pending_run(database, count=2)
    with database.transaction() as session:
        add(session, table, run_id, 0, 1)

    with database.transaction() as session:
        session.execute(text("TRUNCATE contacts"))

    assert left(database, table) == []


@every_table
@pytest.mark.parametrize("changed", ["contact", "what it has"])
def test_neither_a_contact_nor_what_it_has_ever_changes_its_place(database: Database, table: str, changed: str) -> None:
    run_id = pending_run(database, count=2)
    with database.transaction() as session:
        add(session, table, run_id, 0)
    named = "contacts" if changed == "contact" else table

    with pytest.raises(IntegrityError, match="same_contact"), database.transaction() as session:
        session.execute(text(f"UPDATE {named} SET position = position + 10"))


@every_table
def test_a_contact_is_not_deleted_before_those_who_add_to_it_have_committed(database: Database, table: str) -> None:
    run_id = pending_run(database, count=2)

    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as adding:
            add(adding, table, run_id, 0, 1)
            deleting = pool.submit(delete_first, database, run_id)
            wait_until(lambda: waits(database), "a deletion that waits", seconds=10)
        deleting.result(timeout=30)

    assert left(database, table) == [1]


@every_table
def test_nothing_is_added_to_a_contact_that_is_being_deleted(database: Database, table: str) -> None:
    run_id = pending_run(database, count=2)

    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as deleting:
            deleting.execute(text(DELETE), {"run_id": run_id, "positions": [0]})
            adding = pool.submit(add_to_first, database, table, run_id)
            wait_until(lambda: waits(database), "an outcome that waits", seconds=10)
        with pytest.raises(IntegrityError, match="contacts_exist"):
            adding.result(timeout=30)

    assert left(database, table) == []


def delete_first(database: Database, run_id: UUID) -> None:
    with database.transaction() as session:
        session.execute(text(DELETE), {"run_id": run_id, "positions": [0]})


def add_to_first(database: Database, table: str, run_id: UUID) -> None:
    with database.transaction() as session:
        add(session, table, run_id, 0)


def waits(database: Database) -> bool:
    with database.transaction() as session:
        return count(session, "SELECT count(*) FROM pg_locks WHERE NOT granted") > 0
