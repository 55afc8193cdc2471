"""Exports and previews: each contact's own columns, untouched, whatever they are called; a row costs what it holds."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from models.database import Database
from models.queries import first_results, stream_results
from models.run import Run
from models.wire import ContactIn
from pipeline.credits import RateCard
from pipeline.results.exports import write_exports
from pipeline.results.rows import Table, our_columns, result_contact
from pipeline.results.wanted import exports_in
from pipeline.runs.create import create_run
from pipeline.stages import address_stages
from pipeline.storage import Folder
from tests.factories import account, order_of

STAGES = address_stages("full_pipeline")

ODD = {
    "email_status": "mine",
    "growth_email_status": "mine, too",
    "input_email": "not an address",
    "Email": "another case",
    "EMAIL_STATUS": "a third",
    "=cmd|'/C calc'!A0": "=1+1",
    "": "no name",
    'a "quoted",\nname': 'a "quoted",\nvalue',
    "nested": {"list": [1, 2.5, None, True]},
}


def contact(own: dict[str, Any]) -> ContactIn:
    return ContactIn.model_validate({"full_name": "Ada Example", "domain": "alpha.test", **own})


def exported(database: Database, directory: Path, *columns: dict[str, Any]) -> tuple[list[dict[str, str]], list[Any]]:
    """What a run of contacts with such further columns hands out, as CSV and as JSON."""
    people = [contact(own) for own in columns]
    with database.transaction() as session:
        run_id = create_run(
            session, account(database, 1_000_000).account_id, order_of(people), rate_card=RateCard()
        ).run_id
    with database.transaction() as session:
        columns_of_run = session.get_one(Run, run_id).extra_columns
        rows = stream_results(session, run_id, *STAGES)
        exports = write_exports(Folder(directory), run_id, exports_in(["csv", "json"]), Table(columns_of_run), rows)
    as_csv, as_json = ((directory / export.unfinished).read_bytes().decode() for export in exports)
    return list(csv.DictReader(io.StringIO(as_csv, newline=""))), json.loads(as_json)


def test_columns_that_are_called_like_ours_come_back_untouched(database: Database, tmp_path: Path) -> None:
    rows, contacts = exported(database, tmp_path, ODD, {})

    expected = {name: value if isinstance(value, str) else json.dumps(value) for name, value in ODD.items()}
    assert {name: rows[0][name] for name in ODD} == expected
    assert {name: contacts[0][name] for name in ODD} == ODD


def test_our_columns_have_one_name_in_all_rows_of_a_run(database: Database, tmp_path: Path) -> None:
    rows, contacts = exported(database, tmp_path, ODD, {})

    ours = ["growth_input_email", "email", "growth_growth_email_status", "email_reason", "email_score", "email_source"]
    assert list(our_columns(list(ODD)).values()) == ours
    assert all(set(ours) <= set(row) for row in [*rows, *contacts])
    assert rows[1]["email_status"] == ""


def test_a_preview_names_our_columns_as_the_exports_do(database: Database) -> None:
    people = [
        ContactIn.model_validate({"full_name": "Ada Example", "domain": "alpha.test", **own}) for own in (ODD, {})
    ]
    with database.transaction() as session:
        run_id = create_run(session, account(database).account_id, order_of(people), rate_card=RateCard()).run_id
        run = session.get_one(Run, run_id)
        contacts = [
            result_contact(row, our_columns(run.extra_columns)) for row in first_results(session, run_id, 2, *STAGES)
        ]

    assert contacts[0]["email_status"] == "mine"
    assert "growth_growth_email_status" in contacts[1]
    assert "email_status" not in contacts[1]


def test_a_row_has_its_own_columns_and_not_those_of_all_others(database: Database, tmp_path: Path) -> None:
    rows, contacts = exported(database, tmp_path, *({f"column_{number}": number} for number in range(200)))

    assert all(f"column_{number}" in contact for number, contact in enumerate(contacts))
    assert {len(contact) for contact in contacts} == {len(contacts[0])}
    assert len(contacts[0]) < 20
    assert [row[f"column_{number}"] for number, row in enumerate(rows)] == [str(number) for number in range(200)]
