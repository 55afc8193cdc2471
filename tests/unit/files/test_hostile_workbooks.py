"""Workbooks that the library reads in another way than they seem to be are refused, before it opens them."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from pipeline.errors import UnusableFile
from pipeline.files.workbook_size import check_size
from pipeline.files.workbook_size.archive import Archive
from pipeline.files.workbook_size.shared_texts import SharedTexts
from pipeline.files.workbook_size.sheets import measure_sheet

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
CELL = '<row r="1"><c r="A1"><v>1</v></c></row>'
ROOT = Path(__file__).parents[3]
MEMORY = 2_000_000_000
OPEN = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
from pathlib import Path
from pipeline.errors import UnusableFile
from pipeline.files.workbook import open_sheet
try:
    open_sheet(Path(sys.argv[1]), "people", 500_000_000)
except UnusableFile as refused:
    print(refused)
"""


def workbook(path: Path, rows: str, *, sheet: str = "xl/worksheets/sheet1.xml", start: str = "") -> None:
    memory = io.BytesIO()
    with xlsxwriter.Workbook(memory) as book:
        book.add_worksheet().write(0, 0, "x")
    content = f'{start}<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
    with zipfile.ZipFile(memory) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in plain.namelist():
            if name == "xl/worksheets/sheet1.xml":
                archive.writestr(sheet, content)
            else:
                target = sheet.removeprefix("xl/").encode()
                archive.writestr(name, plain.read(name).replace(b"worksheets/sheet1.xml", target))


def open_document(path: Path, rows: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "content.xml", f'<office:spreadsheet><table:table table:name="A">{rows}</table:table></office:spreadsheet>'
        )


TRICKS = {
    "a column that no sheet has": '<c r="ZZZZZZ2"><v>1</v></c>',
    "single quotes": "<c r='XFD1048576'><v>1</v></c>",
    "a space": '<c r ="XFD1048576"><v>1</v></c>',
    "a long attribute": f'<c x="{"y" * 120}" r="XFD1048576"><v>1</v></c>',
    "small letters": '<c r="xfd1048576"><v>1</v></c>',
    "a reference in entities": '<c r="XFD104857&#54;"><v>1</v></c>',
    "a row that no sheet has": '<c r="A4294967296"><v>1</v></c>',
    "no reference": '<c t="b"><v>1</v></c>' * 20_000,
    "no reference and no value": "<c/>" * 20_000,
    "a cell in a formula": "<c><f><row></row></f><v>1</v></c>",
    "a prefix": '<x:c r="XFD1048576"><x:v>1</x:v></x:c>',
}


@pytest.mark.parametrize("trick", TRICKS)
def test_a_sheet_that_is_larger_than_it_looks_is_refused(tmp_path: Path, trick: str) -> None:
    workbook(tmp_path / "people.xlsx", f"{CELL}<row>{TRICKS[trick]}</row>")

    refused = opened(tmp_path / "people.xlsx")

    assert refused.startswith("people "), refused


def end_moved(content: bytes) -> bytes:
    """The archive's end says that its list begins before the file."""
    end = content.rindex(b"PK\x05\x06") + 16
    return (
        content[:end]
        + (int.from_bytes(content[end : end + 4], "little") + 10).to_bytes(4, "little")
        + content[end + 4 :]
    )


def name_of_no_text(content: bytes) -> bytes:
    """A name of a part is said to be UTF-8, and is not."""
    at = content.rindex(b"PK\x01\x02")
    return (
        content[: at + 8] + (1 << 11).to_bytes(2, "little") + content[at + 10 : at + 46] + b"\xff" + content[at + 47 :]
    )


@pytest.mark.parametrize("change", [end_moved, name_of_no_text])
def test_a_damaged_archive_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    workbook(tmp_path / "people.xlsx", CELL)
    (tmp_path / "people.xlsx").write_bytes(change((tmp_path / "people.xlsx").read_bytes()))

    assert "damaged" in opened(tmp_path / "people.xlsx")


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_workbook_that_is_packed_in_a_way_of_which_the_file_chooses_the_memory_is_refused(
    tmp_path: Path, way: int
) -> None:
    workbook(tmp_path / "people.xlsx", CELL)
    with zipfile.ZipFile(tmp_path / "people.xlsx", "a") as archive:
        archive.writestr("xl/more.xml", "<more/>", way)

    assert "damaged" in opened(tmp_path / "people.xlsx")


def test_two_parts_of_a_binary_workbook_with_one_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "people.xlsb", "w") as archive:
        for name in ("xl/worksheets/sheet1.bin", "xl/sharedStrings.bin", "xl/SharedStrings.bin"):
            archive.writestr(name, b"")

    assert "damaged" in opened(tmp_path / "people.xlsb")


@pytest.mark.parametrize("name", ["xl/sheets/s.xml", "xl/worksheets/sheet1.txt", "xl/worksheets/a/b.XML"])
def test_a_sheet_is_measured_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    workbook(tmp_path / "people.xlsx", CELL + '<row><c r="XFD1048576"><v>1</v></c></row>', sheet=name)

    assert "1,048,576 rows of 16,384 columns" in opened(tmp_path / "people.xlsx")


def test_a_document_type_is_refused(tmp_path: Path) -> None:
    workbook(tmp_path / "people.xlsx", CELL, start='<!DOCTYPE x [<!ENTITY a "aaaa">]>')

    assert "is damaged" in opened(tmp_path / "people.xlsx")


def test_two_million_merged_ranges_are_counted(tmp_path: Path) -> None:
    workbook(tmp_path / "people.xlsx", CELL + '<mergeCell ref="A1:B2"/>' * 2_000_000)

    assert "would take some 648 MB" in opened(tmp_path / "people.xlsx")


def of_cell(attributes: str, content: str = "") -> str:
    cell = f"<table:table-cell {attributes}>{content}</table:table-cell>"
    return f"<table:table-row>{cell}</table:table-row>"


OPEN_TRICKS: dict[str, str] = {
    "single quotes": of_cell("table:number-columns-repeated='2000000000' office:value-type='string'", "x"),
    "a value without content": '<table:table-row table:number-rows-repeated="1000000">'
    '<table:table-cell office:value="1" table:number-columns-repeated="16000"/></table:table-row>',
    "empty cells before others": (
        '<table:table-row><table:table-cell table:number-columns-repeated="16000"/>'
        "<table:table-cell/></table:table-row>"
    )
    * 2_000,
    "spaces": of_cell('office:value-type="string"', '<text:s text:c="4000000000"/>'),
    "a table in a cell": of_cell("", "<table:table-row></table:table-row>"),
}


@pytest.mark.parametrize("trick", OPEN_TRICKS)
def test_a_table_that_is_larger_than_it_looks_is_refused(tmp_path: Path, trick: str) -> None:
    open_document(tmp_path / "people.ods", OPEN_TRICKS[trick])

    assert opened(tmp_path / "people.ods").startswith("people ")


def test_many_tables_that_are_held_together_are_counted_together(tmp_path: Path) -> None:
    cell = of_cell('office:value="1" table:number-columns-repeated="16000"')
    tables = '</table:table><table:table table:name="B">'.join([cell * 20] * 20)
    open_document(tmp_path / "people.ods", tables)

    assert "6,400,000 cells" in opened(tmp_path / "people.ods")


@pytest.mark.parametrize("change", [str.upper, str.lower])
def test_references_are_read_in_any_case(tmp_path: Path, change: Callable[[str], str]) -> None:
    workbook(tmp_path / "people.xlsx", f'<row r="2"><c r="{change("b2")}"><v>1</v></c></row>')

    assert measured(tmp_path / "people.xlsx") == ((1, 1), (1, 1))


@given(cells=st.dictionaries(st.tuples(st.integers(0, 60), st.integers(0, 60)), st.text("ab", max_size=3), min_size=1))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_sheet_is_measured_as_the_library_lays_it_out(tmp_path: Path, cells: dict[tuple[int, int], str]) -> None:
    path = tmp_path / "people.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet, bold = book.add_worksheet(), book.add_format({"bold": True})
        for (row, column), text in cells.items():
            sheet.write(row, column, text or None, bold)
    found = CalamineWorkbook.from_path(path).get_sheet_by_index(0)

    check_size(path, "people", 500_000_000)
    assert measured(path) == ((found.start, found.end) if found.start else None)


def test_an_xls_file_with_a_cell_far_away_is_refused(tmp_path: Path) -> None:
    data = (ROOT / "tests/files/workbooks/excel-97.xls").read_bytes()
    place = data.rindex(b"\xfd\x00\x0a\x00") + 4
    (tmp_path / "people.xls").write_bytes(data[:place] + b"\xff" * 4 + data[place + 4 :])

    assert "can't be opened with the 500 MB of memory" in opened(tmp_path / "people.xls")


def test_an_honest_xls_file_is_opened() -> None:
    assert opened(ROOT / "tests/files/workbooks/excel-97.xls") == ""


def test_an_honest_sheet_is_refused_for_its_size_alone(tmp_path: Path) -> None:
    workbook(tmp_path / "people.xlsx", CELL)

    check_size(tmp_path / "people.xlsx", "people", 1_000)
    with pytest.raises(UnusableFile, match="would take"):
        check_size(tmp_path / "people.xlsx", "people", 10)


def measured(path: Path) -> tuple[tuple[int, int], tuple[int, int]] | None:
    with zipfile.ZipFile(path) as archive:
        workbook = Archive(archive, "people", 500_000_000)
        extent = measure_sheet(workbook, archive.getinfo("xl/worksheets/sheet1.xml"), SharedTexts()).extent
    return ((extent.top, extent.left), (extent.bottom, extent.right)) if extent.bottom >= 0 else None


def opened(path: Path) -> str:
    """Open a workbook in a process of little memory, and return why it was refused."""
    command = [sys.executable, "-c", OPEN, str(path), str(MEMORY)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
