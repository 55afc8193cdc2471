"""Files that are made to exhaust whoever reads them. All are small on disk, and quickly made."""

import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow
import xlsxwriter
from pyarrow import parquet

PERSON = b"Grace,Hopfield,acme.test\n"
HEADER = b"First Name,Last Name,Website\n"
LINES = HEADER + PERSON * (64_000_000 // len(PERSON))
TIMES = 160
"""So often 64 MB are 10 GB."""
LONG = "x" * 10_000_000


def cell_of_10_mb(path: Path) -> None:
    path.write_bytes(HEADER + PERSON + b"Ada," + LONG.encode() + b",birch.test\nAna,Silveira,cedar.test\n")


def quoted_cell_of_10_mb(path: Path) -> None:
    lines = b"x" * 99 + b"\n"
    path.write_bytes(HEADER + PERSON + b'Ada,"' + lines * 100_000 + b'",birch.test\nAna,Silveira,cedar.test\n')


def objects_with_10_mb(path: Path) -> None:
    person = {"firstName": "Grace", "lastName": "Hopfield", "website": "acme.test"}
    path.write_text(
        "\n".join(json.dumps(each) for each in (person, person | {"note": LONG}, person | {"lastName": "Byrne"}))
    )


def workbook_with_10_mb(path: Path) -> None:
    _sheet(
        path,
        _row("First Name", "Last Name", "Website")
        + _row("Grace", "Hopfield", "acme.test")
        + _row("Ada", LONG, "b.test"),
    )


def parquet_that_repeats_10_mb(path: Path) -> None:
    notes = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 100_000, pyarrow.int32()), [LONG])
    people = {"first_name": ["Grace"] * 100_000, "last_name": ["Hopfield"] * 100_000, "domain": ["acme.test"] * 100_000}
    table = pyarrow.table(people | {"note": notes})
    # Arrow writes the type beside the data, and would read the column as it was.
    parquet.write_table(table, path, compression="zstd", store_schema=False)


def gzip_of_10_gb_of_rows(path: Path) -> None:
    path.write_bytes(gzip.compress(LINES, 6) * TIMES)


def gzip_of_10_gb_in_one_line(path: Path) -> None:
    path.write_bytes(gzip.compress(b"x" * 64_000_000, 6) * TIMES)


def zstd_of_10_gb_of_rows(path: Path) -> None:
    path.write_bytes(_zstd(LINES) * TIMES)


def workbook_of_10_gb(path: Path) -> None:
    """Its archive says that the sheet has 1,000 bytes."""
    _bomb(path, b'<c r="A1"><v>1</v></c>', declared=1_000)


def workbook_of_2_gb(path: Path) -> None:
    """Its archive says so."""
    _bomb(path, b'<c r="A1"><v>1</v></c>', declared=2 << 30)


def workbook_that_repeats_a_text(path: Path) -> None:
    cells = "".join(f'<row r="{row}"><c r="A{row}" t="s"><v>0</v></c></row>' for row in range(1, 100_001))
    _sheet(path, cells, LONG)


def spreadsheet_that_repeats_a_row(path: Path) -> None:
    repeated = 'table:number-columns-repeated="1000" office:value-type="string"'
    row = f'<table:table-row table:number-rows-repeated="1000000"><table:table-cell {repeated}>x</table:table-cell>'
    table = (
        f'<office:spreadsheet><table:table table:name="A">{row}</table:table-row></table:table></office:spreadsheet>'
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", table)


def header_of_10_000_columns(path: Path) -> None:
    path.write_text(",".join(f"Column {number}" for number in range(10_000)) + "\n")


def row_of_10_000_columns(path: Path) -> None:
    path.write_bytes(HEADER + PERSON + b",".join([b"x"] * 10_000) + b"\nAna,Silveira,cedar.test\n")


def object_of_10_000_names(path: Path) -> None:
    path.write_text(json.dumps({f"name{number}": "x" for number in range(10_000)}) + "\n")


REFUSED: Mapping[Callable[[Path], None], str] = {
    gzip_of_10_gb_of_rows: "unpacks to more than 200 times its size",
    gzip_of_10_gb_in_one_line: "has a line of more than 32 MB",
    zstd_of_10_gb_of_rows: "unpacks to more than 200 times its size",
    workbook_of_10_gb: "is damaged or cut off",
    workbook_of_2_gb: "unpacks to more than 1 GB",
    workbook_that_repeats_a_text: "holds more than 1 GB of text",
    spreadsheet_that_repeats_a_row: "has 1,000,000 rows of 1,000 columns",
    header_of_10_000_columns: "has 10,000 columns, the most is 1,000",
    object_of_10_000_names: "has more than 1,000 different columns",
}
"""With the sentence that is said."""
PARTLY_READ: Mapping[Callable[[Path], None], tuple[int, str]] = {
    cell_of_10_mb: (2, "the row is longer than 1,000,000 characters"),
    quoted_cell_of_10_mb: (2, "a quotation mark is open"),
    objects_with_10_mb: (2, "the row is longer than 1,000,000 characters"),
    workbook_with_10_mb: (1, "the row is longer than 1,000,000 characters"),
    parquet_that_repeats_10_mb: (0, "the row is longer than 1,000,000 characters"),
    row_of_10_000_columns: (2, "it has 10000 cells, the header 3"),
}
"""With the number of contacts that are read, and the reason of the first row that is put aside."""


def _zstd(data: bytes) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(data)
    return bytes(sink.getvalue())


def _row(*cells: str) -> str:
    return "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in cells) + "</row>"


def _sheet(path: Path, rows: str, text: str = "x") -> None:
    """A workbook with these rows and one shared text."""
    memory = io.BytesIO()
    with xlsxwriter.Workbook(memory) as book:
        book.add_worksheet().write(0, 0, "x")
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    others = {
        "xl/sharedStrings.xml": f'<sst xmlns="{main}"><si><t>{text}</t></si></sst>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(memory) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in plain.namelist():
            archive.writestr(name, others.get(name) or plain.read(name))


def _bomb(path: Path, repeated: bytes, declared: int) -> None:
    """A ZIP archive of one sheet of 10 GB, which is said to have another size."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    # What ends with a full flush can be repeated.
    once = packer.compress(repeated * (64_000_000 // len(repeated))) + packer.flush(zlib.Z_FULL_FLUSH)
    data, name = once * TIMES + b"\x03\x00", b"xl/worksheets/sheet1.xml"
    facts = struct.pack("<HHHHHLLLHH", 20, 0, 8, 0, 33, 0, len(data), declared, len(name), 0)
    local = b"PK\x03\x04" + facts + name
    central = b"PK\x01\x02" + struct.pack("<H", 20) + facts + struct.pack("<HHHLL", 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(central), len(local) + len(data), 0)
    path.write_bytes(io.BytesIO(local + data + central + end).getvalue())
