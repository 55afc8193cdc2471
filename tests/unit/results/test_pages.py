"""Pages of results: each worked contact once, in the client's order, with what its export row has."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from models.database import Database
from models.queries import first_results
from models.run import Run
from models.schema import new_id
from pipeline.errors import UnknownRun
from pipeline.privacy import erasure
from pipeline.privacy.erasure import Wanted
from pipeline.privacy.retention import retract
from pipeline.results.pages import Page, as_json, read_page
from pipeline.results.rows import our_columns, result_contact
from pipeline.runs import lifecycle
from pipeline.runs.chunks import Lease
from tests.factories import (
    LOOKUP,
    VERIFY,
    WORKER,
    finish_chunk,
    found,
    leased_chunk,
    not_found,
    pending_run,
    started_run,
    valid,
)


def worked_run(database: Database, count: int = 10) -> UUID:
    """Its contacts are verified, but for each fifth one, for which no address was found."""
    run_id = pending_run(database, count)
    for stage, outcomes in (
        (LOOKUP, [found(n) if n % 5 else not_found(n) for n in range(count)]),
        (VERIFY, [valid(n) if n % 5 else not_found(n) for n in range(count)]),
    ):
        with database.transaction() as session:
            lifecycle.begin_stage(session, run_id, stage, WORKER, count)
        finish_chunk(database, leased_chunk(database, run_id, stage), outcomes)
    return run_id


def pages(database: Database, run_id: UUID, count: int, *statuses: str) -> list[Sequence[Any]]:
    read: list[Sequence[Any]] = []
    after: int | None = -1
    while after is not None:
        with database.transaction() as session:
            page = read_page(session, session.get_one(Run, run_id), after, statuses, count)
        read.append(page.rows)
        after = page.next
    return read


@pytest.mark.parametrize("count", [1, 3, 5, 10, 11])
def test_pages_of_any_size_have_the_rows_of_the_export_in_its_order(database: Database, count: int) -> None:
    run_id = worked_run(database)

    read = pages(database, run_id, count)

    with database.transaction() as session:
        exported = [tuple(row) for row in first_results(session, run_id, 10, LOOKUP, VERIFY)]
    assert [tuple(row) for page in read for row in page] == exported
    assert max(len(page) for page in read) == min(count, 10)


def test_a_page_of_one_status_goes_on_behind_contacts_that_have_another(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = worked_run(database)
    monkeypatch.setattr("pipeline.results.pages.MOST_SEARCHED", 2)

    names = [[row[0] for row in page] for page in pages(database, run_id, 5, "not_found")]

    assert names == [["Given0"], [], ["Given5"], [], []]
    assert len([row for page in pages(database, run_id, 5, "valid", "not_found") for row in page]) == 10


def test_a_running_run_shows_the_contacts_that_a_stage_has_worked_and_no_others(database: Database) -> None:
    run_id = started_run(database, count=3, chunk_size=2)
    finish_chunk(database, leased_chunk(database, run_id), [found(0), not_found(1)])

    (page,) = pages(database, run_id, 10)

    assert [(row[0], row[7]) for row in page] == [("Given0", "unverified"), ("Given1", "not_found")]


def test_an_erased_contact_is_on_no_page(database: Database) -> None:
    run_id = worked_run(database)
    with database.transaction() as session:
        erasure.erase_contacts(session, run_id, 0, [1], Wanted(), new_id())

    names = [row[0] for page in pages(database, run_id, 4) for row in page]

    assert "Given1" not in names
    assert len(names) == 9


def test_a_run_whose_data_has_expired_has_no_pages(database: Database) -> None:
    run_id = worked_run(database)
    with database.transaction() as session:
        session.execute(text("UPDATE runs SET status = 'cancelled', finished_at = now()"))
        retract(session, session.get_one(Run, run_id))

    with pytest.raises(UnknownRun, match="expired"):
        pages(database, run_id, 5)


def test_a_page_as_json_is_what_the_json_export_has(database: Database) -> None:
    run_id = worked_run(database)
    (page,) = pages(database, run_id, 11)

    assert json.loads(as_json(page, [])) == [result_contact(row, our_columns([])) for row in page]
    assert json.loads(as_json([], [])) == []


def test_a_cursor_holds_its_place_while_contacts_are_added_on_either_side_of_it(database: Database) -> None:
    run_id = started_run(database, count=12, chunk_size=3)
    leases = [leased_chunk(database, run_id) for _ in range(4)]

    def work(lease: Lease) -> None:
        finish_chunk(database, lease, [found(n) for n in range(lease.first_position, lease.last_position + 1)])

    def page_after(after: int) -> Page:
        with database.transaction() as session:
            return read_page(session, session.get_one(Run, run_id), after, (), 4)

    work(leases[1])
    work(leases[3])
    first = page_after(-1)
    assert first.next is not None
    work(leases[0])
    second = page_after(first.next)
    work(leases[2])

    assert [row[0] for page in (first, second) for row in page.rows] == [f"Given{n}" for n in (3, 4, 5, 9, 10, 11)]
    assert [row[0] for page in pages(database, run_id, 4) for row in page] == [f"Given{n}" for n in range(12)]
