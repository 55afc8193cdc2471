"""NDJSON, workbooks, Parquet and packed files are read as the same table."""

import gzip
import json
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import xlsxwriter
from pyarrow import parquet

from pipeline.errors import UnusableFile
from pipeline.files import source as sources
from pipeline.files.table import Table, open_table

HEADER = ["full_name", "domain", "employees"]
RECORDS = [["Zoë Example", "alpha.test", "12"], ["田中", "beta.test", ""]]


def as_csv() -> bytes:
    return "\n".join(",".join(row) for row in [HEADER, *RECORDS]).encode()


def objects() -> list[dict[str, Any]]:
    return [
        dict(zip(HEADER, ["Zoë Example", "alpha.test", 12], strict=True)),
        {"full_name": "田中", "domain": "beta.test"},
    ]


def ndjson_in(path: Path) -> None:
    path.write_text("\n".join(json.dumps(each, ensure_ascii=False) for each in objects()))


def workbook_in(path: Path) -> None:
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        for row, cells in enumerate([HEADER, ["Zoë Example", "alpha.test", 12], ["田中", "beta.test", None]]):
            sheet.write_row(row, 0, cells)


def parquet_in(path: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(objects()), path)


def gzip_in(path: Path) -> None:
    path.write_bytes(gzip.compress(as_csv()))


def zstd_in(path: Path) -> None:
    with pyarrow.CompressedOutputStream(str(path), "zstd") as file:
        file.write(as_csv())


def cells_of(table: Table) -> list[list[str]]:
    return [row.cells for row in table.rows() if not (row.is_blank or row.problem)]


@pytest.mark.parametrize("write", [ndjson_in, workbook_in, parquet_in, gzip_in, zstd_in])
def test_every_format_is_the_same_table_whatever_the_files_name(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "people")

    table = open_table(tmp_path / "people")

    assert (table.header, cells_of(table)) == (HEADER, RECORDS)
    assert table.has_header


def test_objects_may_have_different_names_and_a_bad_line_costs_itself(tmp_path: Path) -> None:
    path = tmp_path / "people.ndjson"
    path.write_text(
        '{"name": "Ada", "id": 12345678901234567890.10}\n{"name": "Bo"\n\n{"email": "cy@c.test", "tags": ["x"]}\n'
    )
    rows = list(open_table(path).rows())

    assert open_table(path).header == ["name", "id", "email", "tags"]
    assert [row.cells for row in rows if not row.problem] == [
        ["Ada", "12345678901234567890.10", "", ""], ["", "", "", ""], ["", "", "cy@c.test", '["x"]'],
    ]  # fmt: skip
    assert [(row.number, row.problem) for row in rows if row.problem] == [
        (2, "it is not a JSON object: write one on each line")
    ]


def test_a_json_array_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "people.json").write_text(json.dumps(objects(), indent=1))

    with pytest.raises(UnusableFile, match="is JSON: write one object on each line"):
        open_table(tmp_path / "people.json")


def test_a_workbooks_values_are_what_its_cells_show(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "people.xlsx", {"default_date_format": "yyyy-mm-dd"}) as book:
        book.add_worksheet("Notes").hide()
        sheet = book.add_worksheet("People")
        book.worksheets_objs[1].activate()
        sheet.write_row(2, 1, ["name", "since", "share", "active"])
        sheet.write_row(3, 1, ["Ada", date(2026, 1, 2), 0.5, True])
        book.add_worksheet("More").write(0, 0, "x")

    table = open_table(tmp_path / "people.xlsx")

    assert table.notices == ["people.xlsx: sheet 'People' is read; 'More' is not."]
    assert [(row.number, row.cells) for row in table.rows()] == [(4, ["Ada", "2026-01-02", "0.5", "TRUE"])]


def test_the_first_few_of_the_other_sheets_are_named_without_what_does_not_print(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "people.xlsx") as book:
        book.add_worksheet("People").write_row(0, 0, ["full_name", "domain"])
        book.add_worksheet("EM\u202eEA")
        for number in range(4):
            book.add_worksheet(f"Region {number}")

    [notice] = open_table(tmp_path / "people.xlsx").notices

    others = "'EM\N{REPLACEMENT CHARACTER}EA', 'Region 0', 'Region 1' and 2 more"
    assert notice == f"people.xlsx: sheet 'People' is read; {others} are not."


def test_a_sheet_that_would_not_fit_into_memory_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "wide.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "name")
        sheet.write(1_048_575, 16_383, "x")

    with pytest.raises(UnusableFile, match="1,048,576 rows of 16,384 columns"):
        open_table(tmp_path / "wide.xlsx")


@pytest.mark.parametrize("texts_stand_in_cells", [True, False])
def test_a_workbook_that_takes_more_memory_than_it_may_is_refused(tmp_path: Path, texts_stand_in_cells: bool) -> None:
    path = tmp_path / "people.xlsx"
    with xlsxwriter.Workbook(path, {"constant_memory": texts_stand_in_cells}) as book:
        sheet = book.add_worksheet()
        for row in range(1_000):
            sheet.write_row(row, 0, ["full_name" if not row else f"Ada Ex {row}", "domain" if not row else "a.test"])

    assert len(list(open_table(path, most_memory=1_000_000).rows())) == 999
    with pytest.raises(UnusableFile, match=r"^people.xlsx has 2,000 cells, .* save it as CSV"):
        open_table(path, most_memory=100_000)


@pytest.mark.parametrize("write", [workbook_in, parquet_in, gzip_in, zstd_in])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, write: Any) -> None:
    path = tmp_path / "people"
    write(path)
    path.write_bytes(path.read_bytes()[:-12])

    with pytest.raises(UnusableFile, match=r"damaged|is not a workbook"):
        list(open_table(path).rows())


def test_an_archive_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "people.zip", "w") as archive:
        archive.writestr("people.csv", as_csv())

    with pytest.raises(UnusableFile, match="is not a workbook: unpack it"):
        open_table(tmp_path / "people.zip")


def test_a_file_that_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_UNPACKED", 100_000)
    (tmp_path / "people.csv.gz").write_bytes(gzip.compress(b"full_name,domain\n" + b"Ada,a.test\n" * 20_000))

    with pytest.raises(UnusableFile, match="unpacks to more than"):
        open_table(tmp_path / "people.csv.gz")
