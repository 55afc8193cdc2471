"""Files as people have them: of each the table that must come out, or the sentence that must be said (README.md)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from cli.submission import Reading, collect, open_submission
from pipeline.errors import UnusableFile
from pipeline.files.addresses import open_addresses
from pipeline.files.contacts import ContactReader, PlacedRow
from pipeline.mail.address.lists import Lists
from pipeline.mail.address.syntax import normalise_domain, parse_address
from tests.files.expectations import ENDING, FOLDER, Cells, Expectation, cells_of, expectation_of, files, stem_of

LISTS = Lists()
EXPECTED = [(path, Expectation.of(expectation_of(path))) for path in files() if expectation_of(path).is_file()]
TABLES = [(path, wanted) for path, wanted in EXPECTED if wanted.command == "submit" and wanted.table]
LARGEST = 1_000_000


def case(path: Path, wanted: Expectation) -> ParameterSet:
    return pytest.param(path, wanted, id=f"{path.parent.name}/{path.name}: {wanted.about}")


def test_each_file_has_an_expectation_and_each_expectation_a_file() -> None:
    assert {expectation_of(path) for path in files()} == set(FOLDER.glob(f"*/*{ENDING}"))
    assert len({stem_of(path) for path in files()}) == len(files())
    assert all(bool(wanted.table) != bool(wanted.refused) for _, wanted in EXPECTED)


def test_the_files_stay_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < LARGEST
    assert len(files()) >= 60


@pytest.mark.parametrize(("path", "wanted"), [case(*each) for each in TABLES])
def test_a_file_is_the_table_that_people_see_in_it(path: Path, wanted: Expectation) -> None:
    reader = open_submission(path, Reading(wanted.preset, wanted.map, wanted.encoding))
    placed = [each for each in reader.place() if each.rejected or each.contact is not None]

    used = [each for each in placed if each.rejected is None]
    table = cells_of(wanted.table)
    assert [shown(reader, each, list(table[0])) for each in used] == table
    rejected = cells_of(wanted.rejected)
    assert [put_aside(each, rejected) for each in placed if each.rejected] == rejected
    assert repeated_rows(used) == [tuple(pair) for pair in wanted.repeated]
    if wanted.columns is not None:
        assert dict(reader.columns.described()) == dict(wanted.columns)
    assert_said([*reader.table.notices, *reader.columns.notices], wanted.notices)


@pytest.mark.parametrize(("path", "wanted"), [case(*each) for each in EXPECTED if each[1].refused])
def test_a_file_that_can_not_be_used_says_what_to_do(path: Path, wanted: Expectation, tmp_path: Path) -> None:
    with pytest.raises(UnusableFile) as refused:
        collect(open_submission(path, Reading(wanted.preset, wanted.map, wanted.encoding)), tmp_path / "rejected.csv")

    assert wanted.refused in str(refused.value)
    assert path.name in str(refused.value) or "The file" in str(refused.value)


@pytest.mark.parametrize(("path", "wanted"), [case(*each) for each in EXPECTED if each[1].command == "verify"])
def test_a_list_of_addresses_is_the_one_that_people_see_in_it(path: Path, wanted: Expectation) -> None:
    addresses = open_addresses(path)

    assert [row[addresses.column] for row in addresses.rows()] == [row["email"] for row in cells_of(wanted.table)]


def shown(reader: ContactReader, placed: PlacedRow, names: Sequence[str]) -> Cells:
    """A row as the expectation shows it. `company_domain` is what is looked up, `verified` the address."""
    contact = reader.contact(placed.row)
    special = {"row": str(placed.row.number), "company_domain": looked_up(contact), "verified": verified(contact)}
    everything = contact | special
    return {name: everything.get(name, "") for name in names}


def looked_up(contact: Mapping[str, str]) -> str:
    domain = normalise_domain(contact.get("domain", ""))
    return "(nobody's)" if domain and LISTS.is_anybodys(domain) else domain or ""


def verified(contact: Mapping[str, str]) -> str:
    address = parse_address(contact.get("email", ""))
    return "" if not isinstance(address, tuple) else str(address)


def put_aside(placed: PlacedRow, wanted: Sequence[Cells]) -> Cells:
    """A rejected row; of its reason as much as is expected."""
    assert placed.rejected
    number = str(placed.row.number)
    length = next((len(row["reason"]) for row in wanted if row["row"] == number), None)
    return {"row": number, "field": placed.rejected.field, "reason": placed.rejected.reason[:length]}


def repeated_rows(used: Sequence[PlacedRow]) -> list[tuple[int, int]]:
    first = {each.contact: each.row.number for each in used if each.is_new}
    return [(each.row.number, first[each.contact]) for each in used if not each.is_new]


def assert_said(notices: Sequence[str], wanted: Sequence[str]) -> None:
    """Each notice has its expected part, and nothing else is said."""
    assert len(notices) == len(wanted), notices
    assert all(part in notice for part, notice in zip(wanted, notices, strict=True)), notices
