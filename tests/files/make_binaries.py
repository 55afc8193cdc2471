"""Makes the workbooks, Parquet and packed files of this folder anew: `python -m tests.files.make_binaries`.

They are committed; run it after a change here. Two were made with other programs: `workbooks/excel-97.xls` and
`workbooks/password.xlsx`.
"""

import gzip
import io
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import xlsxwriter
from pyarrow import parquet

FOLDER = Path(__file__).parent
HEADER = ["First Name", "Last Name", "Company", "Website"]
PEOPLE = [["Grace", "Hopfield", "Acme, Inc.", "acme.test"], ["Zoë", "Byrne", "Birch", "https://birch.test/"]]
CSV = "\r\n".join(",".join(f'"{cell}"' for cell in row) for row in [HEADER, *PEOPLE]).encode() + b"\r\n"
SEEN = datetime.fromisoformat("2026-01-15T10:01")
Write = Callable[[xlsxwriter.Workbook], None]


def workbook(name: str, write: Write) -> None:
    """Write a workbook that is the same each time."""
    memory = io.BytesIO()
    with xlsxwriter.Workbook(memory, {"default_date_format": "yyyy-mm-dd"}) as book:
        book.set_properties({"created": datetime(2026, 1, 15, tzinfo=UTC)})
        write(book)
    (FOLDER / name).write_bytes(memory.getvalue())


def rows(book: xlsxwriter.Workbook, title: str, cells: Sequence[Sequence[Any]], top: int = 0, left: int = 0) -> Any:
    """Add a sheet with these rows; return it."""
    sheet = book.add_worksheet(title)
    for number, row in enumerate(cells, start=top):
        sheet.write_row(number, left, row)
    return sheet


def plain(book: xlsxwriter.Workbook) -> None:
    rows(book, "Contacts", [HEADER, *PEOPLE])


def merged_title(book: xlsxwriter.Workbook) -> None:
    sheet = rows(book, "Contacts", [HEADER, *PEOPLE], top=3)
    sheet.merge_range("A1:D1", "Contacts of the fair")
    sheet.merge_range("A2:D2", "as of 15 January 2026")


def merged_cells(book: xlsxwriter.Workbook) -> None:
    sheet = rows(book, "Contacts", [["Company", "Website", "First Name", "Last Name"]])
    sheet.merge_range("A2:A3", "Acme")
    sheet.merge_range("B2:B3", "acme.test")
    sheet.write_row("C2", ["Grace", "Hopfield"])
    sheet.write_row("C3", ["Ada", "Byrne"])
    sheet.write_row("A4", ["Birch", "birch.test", "Ana", "Silveira"])


def formulas(book: xlsxwriter.Workbook) -> None:
    sheet = rows(book, "Contacts", [["First", "Last", "Full Name", "Domain", "Phone"]])
    for number, (first, last, domain) in enumerate(
        [("Grace", "Hopfield", "acme.test"), ("Ada", "Byrne", "birch.test")]
    ):
        row = number + 2
        sheet.write_row(number + 1, 0, [first, last])
        sheet.write_formula(number + 1, 2, f'=A{row}&" "&B{row}', value=f"{first} {last}")
        sheet.write_formula(number + 1, 3, f'=HYPERLINK("https://{domain}")', value=f"https://{domain}")
        sheet.write_formula(number + 1, 4, f"=VLOOKUP(A{row},Z:Z,2,FALSE)", value="#N/A")


def values(book: xlsxwriter.Workbook) -> None:
    header = ["Name", "Domain", "Since", "Seen", "Phone", "Zip", "Share", "Active", "Id", "Linked", "Error"]
    sheet = rows(book, "Contacts", [header])
    sheet.write_row(1, 0, ["Grace Hopfield", "acme.test", date(2026, 1, 15), SEEN])
    sheet.write_number(1, 4, 442079460011)
    sheet.write_string(1, 5, "01067")
    sheet.write_row(1, 6, [0.25, True])
    sheet.write_string(1, 8, "12345678901234567890")
    sheet.write_url(1, 9, "https://acme.test/team", string="Team")
    sheet.write_formula(1, 10, "=1/0", value="#DIV/0!")


def several_sheets(book: xlsxwriter.Workbook) -> None:
    book.add_worksheet("Empty")
    rows(book, "Read me", [["This workbook holds the contacts of the fair."], ["Questions: ask Sam."]])
    rows(book, "Contacts", [HEADER, *PEOPLE])
    rows(book, "Deals", [["Deal", "Amount"], ["Acme", 1200]])


def hidden_sheets(book: xlsxwriter.Workbook) -> None:
    rows(book, "Old contacts", [HEADER, ["Old", "Person", "Gone", "gone.test"]]).hide()
    rows(book, "Lists", [HEADER, ["Very", "Hidden", "Gone", "gone.test"]]).very_hidden()
    rows(book, "Contacts", [HEADER, *PEOPLE]).activate()


def formatted_report(book: xlsxwriter.Workbook) -> None:
    """Salesforce's formatted report: titles above, a first column that is empty, totals below."""
    titles = ["Contacts & Accounts", "As of 2026-01-15 10:01", "", "Filtered By", "Show: All accounts"]
    sheet = rows(book, "Report", [[None, title or None] for title in titles])
    for number, row in enumerate([HEADER, *PEOPLE], start=6):
        sheet.write_row(number, 1, row)
    sheet.write_row(10, 0, ["Total", "Count", 2])
    sheet.write_row(12, 1, ["Confidential Information - Do Not Distribute"])
    sheet.write_row(13, 1, ["Copyright © 2000-2026 salesforce.com, inc. All rights reserved."])


def beginning_in_the_middle(book: xlsxwriter.Workbook) -> None:
    rows(book, "Contacts", [HEADER, *PEOPLE], top=4, left=2)


def formatted_to_the_end(book: xlsxwriter.Workbook) -> None:
    sheet = rows(book, "Contacts", [HEADER, *PEOPLE])
    grey = book.add_format({"bg_color": "#eeeeee"})
    for row in range(3, 400):
        sheet.write_row(row, 0, [""] * 30, grey)
    sheet.set_column("A:XFD", 12, grey)


def rich_text(book: xlsxwriter.Workbook) -> None:
    sheet = rows(
        book, "Contacts", [HEADER, ["", "Hopfield", "Acme", "acme.test"], ["Ada", "Byrne", "Birch\nOak", "birch.test "]]
    )
    sheet.write_rich_string("A2", "Gr", book.add_format({"bold": True}), "ace")
    sheet.write_comment("A3", "a note beside the cell")


def nothing(book: xlsxwriter.Workbook) -> None:
    book.add_worksheet("Contacts")


def ods(name: str) -> None:
    """A spreadsheet of LibreOffice's, as small as it can be."""
    cells = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>' for cell in row
        )
        + "</table:table-row>"
        for row in [HEADER, *PEOPLE]
    )
    office = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content xmlns:office="{office}:office:1.0" '
        f'xmlns:table="{office}:table:1.0" xmlns:text="{office}:text:1.0" office:version="1.3"><office:body>'
        f'<office:spreadsheet><table:table table:name="Contacts">{cells}</table:table></office:spreadsheet>'
        "</office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        '<?xml version="1.0"?><manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
        '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>'
    )
    archive(name, {"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": manifest})


def archive(name: str, entries: dict[str, str | bytes]) -> None:
    """Write a ZIP archive that is the same each time."""
    with zipfile.ZipFile(FOLDER / name, "w") as packed:
        for entry, content in entries.items():
            info = zipfile.ZipInfo(entry, (2026, 1, 15, 0, 0, 0))
            info.compress_type = zipfile.ZIP_STORED if entry == "mimetype" else zipfile.ZIP_DEFLATED
            packed.writestr(info, content)


def typed_parquet(name: str) -> None:
    table = pyarrow.table(
        {
            "first_name": pyarrow.array(["Grace", "Zoë", None]).dictionary_encode(),
            "last_name": ["Hopfield", "Byrne", "Silveira"],
            "domain": ["acme.test", "birch.test", "cedar.test"],
            "employees": pyarrow.array([120, None, 3], pyarrow.int32()),
            "since": [date(2026, 1, 15), None, None],
            "seen": pyarrow.array([SEEN, None, None], pyarrow.timestamp("ms")),
            "revenue": [Decimal("1.50"), None, None],
            "tags": [["a", "b"], [], None],
            "active": [True, False, None],
        }
    )
    parquet.write_table(table, FOLDER / name, compression="zstd")


def zstd(name: str, content: bytes) -> None:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(content)
    (FOLDER / name).write_bytes(sink.getvalue().to_pybytes())


def cut_off(name: str, whole: str) -> None:
    data = (FOLDER / whole).read_bytes()
    (FOLDER / name).write_bytes(data[: len(data) * 2 // 3])


def make() -> None:
    for folder in ("workbooks", "packed", "broken"):
        (FOLDER / folder).mkdir(exist_ok=True)
    for write in (plain, merged_title, merged_cells, formulas, values, several_sheets, hidden_sheets, formatted_report,
                  beginning_in_the_middle, formatted_to_the_end, rich_text, nothing):  # fmt: skip
        workbook(f"workbooks/{write.__name__.replace('_', '-')}.xlsx", write)
    workbook("workbooks/called-csv.csv", plain)
    ods("workbooks/libreoffice.ods")
    typed_parquet("packed/typed.parquet")
    (FOLDER / "packed/gzip.csv.gz").write_bytes(gzip.compress(CSV, mtime=0))
    (FOLDER / "packed/gzip-in-two-members.csv.gz").write_bytes(
        gzip.compress(CSV[:60], mtime=0) + gzip.compress(CSV[60:], mtime=0)
    )
    (FOLDER / "packed/gzip-of-windows-1252").write_bytes(gzip.compress(CSV.decode().encode("cp1252"), mtime=0))
    zstd("packed/zstandard.csv.zst", CSV)
    archive("packed/zip-of-csv.zip", {"contacts.csv": CSV})
    cut_off("broken/cut-off-gzip.csv.gz", "packed/gzip.csv.gz")
    cut_off("broken/cut-off-zstandard.csv.zst", "packed/zstandard.csv.zst")
    cut_off("broken/cut-off-workbook.xlsx", "workbooks/plain.xlsx")
    cut_off("broken/cut-off.parquet", "packed/typed.parquet")
    # A photo: what a JPEG begins with, then anything.
    photo = (
        b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + bytes(range(256)) * 3 + b"\xff\xd9"
    )
    (FOLDER / "broken/photo.csv").write_bytes(photo)
    (FOLDER / "broken/picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))


if __name__ == "__main__":
    make()
