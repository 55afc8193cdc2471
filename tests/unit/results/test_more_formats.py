"""NDJSON, CSV for Excel, workbooks and Parquet, as independent readers see them."""

import csv
import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from models.database import Database
from models.queries import ResultRow, types_of_columns
from models.wire import ContactIn
from pipeline.credits import RateCard
from pipeline.errors import InvalidInput
from pipeline.results import xlsx
from pipeline.results.excel_csv import safe_in_excel
from pipeline.results.formats import FORMATS, check_size
from pipeline.results.parquet import ROW_GROUP
from pipeline.results.rows import Table, our_columns, result_contact
from pipeline.runs.create import create_run
from tests.factories import account, order_of
from tests.unit.results.test_formats import COLUMNS, in_batches, result_rows

HEADER_ROWS = 1


def file_of(name: str, table: Table, *batches: Sequence[ResultRow]) -> bytes:
    made = FORMATS[name].make(table)
    return made.head() + b"".join(map(made.rows, batches)) + made.tail()


def row_of(first_name: str = "Ada", **extra: Any) -> ResultRow:
    own = (first_name, "Example", "", "Example Co", "alpha.test", None)
    return (*own, "ada@alpha.test", "valid", "mailbox_exists", 98, "pattern", json.dumps(extra))


def worksheet(data: bytes) -> list[list[Any]]:
    """What calamine, a reader that knows nothing of ours, makes of a workbook."""
    return CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python()


@given(st.lists(result_rows, max_size=6), st.sets(st.integers(1, 5)))
@example([], set())
def test_ndjson_holds_one_contact_a_line(rows: list[ResultRow], cuts: set[int]) -> None:
    made = file_of("ndjson", Table(COLUMNS), *in_batches(rows, cuts)).decode()

    ours = our_columns(COLUMNS)
    assert made == "".join(json.dumps(result_contact(row, ours), ensure_ascii=False) + "\n" for row in rows)


def excel_rows(name: str, *rows: ResultRow, columns: Sequence[str] = ()) -> list[list[str]]:
    text = file_of(name, Table(columns), rows).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=";" if "_" in name else ","))


def test_csv_for_excel_begins_with_a_byte_order_mark_and_csv_does_not() -> None:
    assert file_of("excel", Table()).startswith(b"\xef\xbb\xbffirst_name,last_name")
    assert file_of("csv", Table()).startswith(b"first_name,last_name")


def test_csv_for_excel_has_the_separators_of_its_country() -> None:
    english, german = (excel_rows(name, row_of(rate=1.5), columns=["rate"])[1] for name in ("excel", "excel_de"))

    assert english == ["Ada", "Example", "", "Example Co", "alpha.test", "", "1.5", *english[7:]]
    assert german == ["Ada", "Example", "", "Example Co", "alpha.test", "", "1,5", *english[7:]]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+41 44 000 00 00", "'+41 44 000 00 00"),
        ("-1", "'-1"),
        ("@sum(a1)", "'@sum(a1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("＝1+1", "'＝1+1"),
        ("007", "'007"),
        ("123456789012", "'123456789012"),
        (1234567890123456789, "'1234567890123456789"),
        ("12345678901", "12345678901"),
        (-5, -5),
        ("0", "0"),
        ("a=1", "a=1"),
        ("", ""),
        (None, None),
    ],
)
def test_excel_neither_runs_nor_shortens_a_value(value: Any, shown: Any) -> None:
    assert safe_in_excel(value) == shown


def test_names_of_columns_are_made_safe_for_excel_as_well() -> None:
    header = excel_rows("excel", columns=["=cmd|'/C calc'!A0"])[0]

    assert "'=cmd|'/C calc'!A0" in header


def test_a_workbook_holds_texts_as_texts_and_numbers_as_numbers() -> None:
    odd = {"formula": "=1+1", "long": "00123456789012345678", "count": 3, "rate": 1.5, "big": 10**20, "many": [1, None]}
    rows = worksheet(file_of("xlsx", Table(list(odd)), [row_of(**odd), row_of("Zoë")]))

    assert rows[0] == Table(list(odd)).header
    assert rows[1][6:12] == ["=1+1", "00123456789012345678", 3, 1.5, str(10**20), "[1, null]"]
    assert (rows[1][-2], rows[2][0], rows[2][6:12]) == (98, "Zoë", [""] * 6)


@pytest.mark.parametrize(
    "text", ["a & b <c>", " padded ", "two\nlines", "tab\there", "𝒳 Größe", "quo\"te'", "_x", "]]>"]
)
def test_a_workbook_gives_texts_back_unchanged(text: str) -> None:
    assert worksheet(file_of("xlsx", Table(), [row_of(text)]))[1][0] == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("a\rb", "a_x000D_b"), ("\x01", "_x0001_"), ("_x0041_", "_x005F_x0041_"), ("\ufffe", "_xFFFE_")],
)
def test_what_xml_can_not_hold_is_written_as_excel_writes_it(text: str, escaped: str) -> None:
    workbook = zipfile.ZipFile(io.BytesIO(file_of("xlsx", Table(), [row_of(text)])))

    assert f">{escaped}</t>" in workbook.read("xl/worksheets/sheet1.xml").decode()


def test_a_text_too_long_for_a_cell_is_cut() -> None:
    rows = worksheet(file_of("xlsx", Table(), [row_of("x" * 40_000)]))

    assert len(rows[1][0]) == xlsx.MOST_CHARS


def test_a_workbook_that_may_become_large_is_read_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    small = file_of("xlsx", Table(contacts=1), [row_of()])
    monkeypatch.setattr(xlsx, "LARGE", 1)
    large = file_of("xlsx", Table(contacts=1), [row_of()])

    assert len(large) > len(small)
    assert worksheet(large) == worksheet(small)


def test_columns_beyond_z_have_two_letters() -> None:
    names = [f"column {number}" for number in range(800)]
    rows = worksheet(file_of("xlsx", Table(names), [row_of(**{names[-1]: "last"})]))

    assert rows[0][6:806] == names
    assert rows[1][805] == "last"


def test_more_contacts_than_a_worksheet_has_rows_are_refused_and_other_formats_take_them() -> None:
    check_size("xlsx", xlsx.MOST_ROWS)
    check_size("csv", xlsx.MOST_ROWS + 1)

    with pytest.raises(InvalidInput, match="A worksheet holds 1,048,575 contacts, and this run has 1,048,576"):
        check_size("xlsx", xlsx.MOST_ROWS + 1)


def test_a_run_that_wants_a_workbook_and_is_too_large_for_it_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.results.formats.MOST_ROWS", 2)
    people = [ContactIn(full_name="Ada Example", domain="alpha.test")] * 3
    owner = account(database).account_id

    with database.transaction() as session, pytest.raises(InvalidInput, match="this run has 3"):
        create_run(session, owner, order_of(people, export_formats=["xlsx"]), rate_card=RateCard())


def parquet(table: Table, *batches: Sequence[ResultRow]) -> pa.Table:
    return pq.read_table(io.BytesIO(file_of("parquet", table, *batches)))


def test_parquet_has_types_and_nothing_where_a_contact_has_no_value() -> None:
    types = {"count": "integer", "rate": "number", "old": "boolean", "note": "text"}
    table = Table(list(types), types=types)  # type: ignore[arg-type]
    read = parquet(table, [row_of(count=3, rate=1, old=True, note={"a": 1}), row_of(rate=1.5)])

    further = read.select(list(types))
    assert [str(field.type) for field in further.schema] == ["int64", "double", "bool", "string"]
    assert further.to_pylist() == [
        {"count": 3, "rate": 1.0, "old": True, "note": '{"a": 1}'},
        {"count": None, "rate": 1.5, "old": None, "note": None},
    ]
    assert str(read.schema.field("email_score").type) == "int32"
    assert read.column_names == table.header


@given(st.lists(result_rows, max_size=6), st.sets(st.integers(1, 5)))
def test_parquet_holds_what_csv_holds(rows: list[ResultRow], cuts: set[int]) -> None:
    batches = in_batches(rows, cuts)

    read = parquet(Table(COLUMNS), *batches).to_pydict()
    as_csv = list(csv.DictReader(io.StringIO(file_of("csv", Table(COLUMNS), *batches).decode(), newline="")))

    for name, values in read.items():
        assert ["" if value is None else str(value) for value in values] == [row[name] for row in as_csv]


def test_parquet_is_written_in_groups_of_rows_and_handed_on_between_them() -> None:
    made = FORMATS["parquet"].make(Table())
    head, first, second = made.head(), made.rows([row_of()] * ROW_GROUP), made.rows([row_of()])
    data = head + first + second + made.tail()

    assert len(first) > 0
    assert second == b""
    assert pq.ParquetFile(io.BytesIO(data)).num_row_groups == 2


def test_a_further_column_has_a_type_if_all_of_its_values_have(database: Database) -> None:
    rows: list[dict[str, Any]] = [
        {"count": 1, "rate": 1.5, "old": True, "mixed": 1, "long": 10**18, "exact": 0.12345678901234567, "none": None},
        {"count": -2, "rate": 2, "old": None, "mixed": "1", "list": [1], "code": "0012", "zero": 0},
    ]
    people = [ContactIn.model_validate({"full_name": "Ada Example", "domain": "alpha.test", **row}) for row in rows]
    with database.transaction() as session:
        run_id = create_run(session, account(database).account_id, order_of(people), rate_card=RateCard()).run_id
        types = types_of_columns(session, run_id)

    assert types == {
        "count": "integer",
        "rate": "number",
        "old": "boolean",
        "mixed": "text",
        "long": "text",
        "exact": "text",
        "list": "text",
        "code": "text",
        "zero": "integer",
    }


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "parquet"])
def test_bytes_come_with_each_batch_and_do_not_pile_up(name: str) -> None:
    made = FORMATS[name].make(Table())
    made.head()
    largest = max(len(made.rows([row_of(f"Given{n * m}") for n in range(250)])) for m in range(100))

    assert len(made.tail()) < 20_000
    assert 0 < largest < 300_000
