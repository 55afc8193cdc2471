import csv
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from sandbox.csv_files import Destination, write_contacts_csv, write_truth_csv
from sandbox.people import Person


def test_contacts_come_back_as_they_were_and_hold_no_address(people: list[Person], tmp_path: Path) -> None:
    write_contacts_csv(people, tmp_path / "contacts.csv")

    with (tmp_path / "contacts.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0].keys() == {"first_name", "last_name", "company", "domain", "crm_id"}
    assert [(row["last_name"], row["crm_id"]) for row in rows] == [
        (person.last_name, person.crm_id) for person in people
    ]


def test_the_truth_has_an_empty_cell_for_what_is_not(people: list[Person]) -> None:
    nowhere = next(person for person in people if person.email is None)
    file = StringIO()

    write_truth_csv([nowhere], file)

    row = next(csv.DictReader(StringIO(file.getvalue())))
    assert row == {
        "crm_id": nowhere.crm_id,
        "domain": nowhere.domain,
        "email": "",
        "mailbox": "none",
        "findable": "False",
        "verdict": "",
        "reason_not_found": nowhere.reason_not_found,
    }


@pytest.mark.parametrize("write", [write_contacts_csv, write_truth_csv])
def test_a_file_that_the_caller_opened_stays_open(
    people: list[Person], write: Callable[[list[Person], Destination], None]
) -> None:
    file = StringIO()

    write(people[:1], file)

    assert not file.closed
    assert len(file.getvalue().splitlines()) == 2
