"""Rows that are read in batches become what the reader of the command line says of each."""

import csv
import io
import json
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.files.contacts import ContactReader, open_contacts
from pipeline.files.headings import FIELDS
from pipeline.uploads import rows as upload_rows
from pipeline.uploads.rows import COLUMNS, RowMaker

HEADER = ["First Name", "Last Name", "Company", "Website", "Email", "Note", "Team"]
CHOSEN = {
    "first_name": "First Name", "last_name": "Last Name", "company": "Company", "domain": "Website", "email": "Email",
}  # fmt: skip
cells = st.one_of(
    st.sampled_from(
        ["", " ", "Ada", "ADA", "ada ", "Ex", "N/A", "null", "-", "alpha.test", "www.Alpha.test/x", "x@a.test"]
    ),
    st.sampled_from(
        ["a\tb", "a\nb", "a\r\nb", 'q"q', "\\", "\\N", "é", "ß", "日本", "\u200bzero", "two  spaces", "\x1f", "\x07"]
    ),
    st.sampled_from(["y" * 201, "z" * 321, "w" * 9_990, "\u00a0nbsp\u00a0"]),
)
tables = st.lists(st.lists(cells, min_size=len(HEADER), max_size=len(HEADER) + 1), min_size=1, max_size=12)


def unescaped(value: str) -> str | None:
    if value == "\\N":
        return None
    for sign, char in (("\\t", "\t"), ("\\n", "\n"), ("\\r", "\r")):
        value = value.replace("\\\\", "\0").replace(sign, char).replace("\0", "\\\\")
    return value.replace("\\\\", "\\")


def made_of(reader: ContactReader, *, knows_companies: bool = True) -> list[dict[str, str | None]]:
    text = b"".join(RowMaker(uuid4(), reader, 10_000, knows_companies).blocks()).decode()
    return [dict(zip(COLUMNS, map(unescaped, line.split("\t")), strict=True)) for line in text.split("\n")[:-1]]


@pytest.mark.parametrize("at_once", [1, 3, 2_000])
@settings(max_examples=150, deadline=None)
@given(table=tables, preset=st.sampled_from(["full_pipeline", "verify_existing_emails"]))
def test_each_row_is_what_the_reader_says(
    tmp_path_factory: pytest.TempPathFactory, at_once: int, table: list[list[str]], preset: str
) -> None:
    path = tmp_path_factory.mktemp("rows") / "people.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *table])
    reader = open_contacts(path, preset, CHOSEN)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(upload_rows, "ROWS_AT_ONCE", at_once)
        made = made_of(reader)

    placed = list(open_contacts(path, preset, CHOSEN).place())
    assert len(made) == len(placed)
    for row, expected in zip(made, placed, strict=True):
        assert row["row"] == str(expected.row.number)
        assert row["contact"] == (None if expected.contact is None else str(expected.contact))
        assert row["is_first"] == ("t" if expected.is_new else "f")
        assert (row["field"], row["reason"]) == (expected.rejected or (None, None))
        assert next(csv.reader(io.StringIO(row["line"], newline="")), []) == expected.row.cells or not any(
            expected.row.cells
        )
        if expected.is_new:
            contact = reader.contact(expected.row)
            assert {name: row[name] for name in FIELDS} == {name: contact.get(name, "") for name in FIELDS}
            further = {name: value for name, value in contact.items() if name not in FIELDS}
            assert json.loads(row["extra"] or "") == further


def test_without_a_list_of_companies_a_company_alone_will_not_do(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("full_name,company,domain\nAda,One,\nBo,Two,b.test\nAda,One,\nCy,Two,c.test\n")

    made = made_of(open_contacts(path), knows_companies=False)

    assert [row["contact"] for row in made] == [None, "0", None, "1"]


def test_contacts_of_a_domain_are_neighbours_and_so_are_those_of_a_company(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(
        "full_name,company,domain,email\n"
        "Ada,,https://www.Alpha.test/x,\nBo,,,bo@alpha.test\nCy,One Ltd,,\nDi,ONE ltd,,\n"
    )

    orders = [row["work_order"] for row in made_of(open_contacts(path))]

    assert orders == ["alpha.test", "alpha.test", "\x01one ltd", "\x01one ltd"]
