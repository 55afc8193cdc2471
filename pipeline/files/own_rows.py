"""Puts results behind the rows that a user sent: each row of the file, in its order, under its own headings."""

from collections.abc import Iterator, Sequence

from pipeline.errors import UnusableFile
from pipeline.files.contacts import ContactReader, PlacedRow
from pipeline.files.headings import plain_heading

RESULT_COLUMNS = ("email", "email_status", "email_reason", "email_score", "email_source")
REJECTED = "rejected"

Result = Sequence[str]


def result_header(header: Sequence[str]) -> list[str]:
    """The file's own headings, then ours, with a prefix where the file has a column of that name."""
    taken = {plain_heading(title) for title in header}
    ours = [f"growth_{name}" if plain_heading(name) in taken else name for name in RESULT_COLUMNS]
    return [*header, *ours]


def result_rows(reader: ContactReader, results: Iterator[Result]) -> Iterator[list[str]]:
    """Yield each row of the file with its result; a repeated row has that of the first.

    `results` has one for each different contact, in the order in which `reader` gave them. Raises `UnusableFile` if
    there are more or fewer: the file is another one than was sent.
    """
    repeated = {placed.contact for placed in reader.place() if placed.contact is not None and not placed.is_new}
    kept: dict[int, Result] = {}
    for placed in reader.place():
        yield _cells(placed, len(reader.table.header)) + list(_result(reader, placed, results, repeated, kept))
    if next(results, None) is not None:
        raise _other_file(reader)


def _result(
    reader: ContactReader, placed: PlacedRow, results: Iterator[Result], repeated: set[int], kept: dict[int, Result]
) -> Result:
    if placed.rejected:
        return ["", REJECTED, f"{placed.rejected.field}: {placed.rejected.reason}", "", ""]
    if placed.contact is None:
        return [""] * len(RESULT_COLUMNS)
    if not placed.is_new:
        return kept[placed.contact]
    result = next(results, None)
    if result is None:
        raise _other_file(reader)
    if placed.contact in repeated:
        kept[placed.contact] = result
    return result


def _cells(placed: PlacedRow, width: int) -> list[str]:
    return [*placed.row.cells, *[""] * width][:width]


def _other_file(reader: ContactReader) -> UnusableFile:
    return UnusableFile(f"{reader.table.name} has other contacts than the run: it is not the file that was sent.")
