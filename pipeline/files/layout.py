"""Finds the header of a table, and the notes above and below it, such as LinkedIn's and Salesforce's."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from pipeline.files.cells import is_address, is_domain
from pipeline.files.dialect import usual_width
from pipeline.files.headings import count_known
from pipeline.files.rows import Row

FIRST_ROWS = 100
MOST_PREAMBLE = 30
MOST_FOOTER = 30
_AROUND = " \t\r\n\xa0\ufeff\u200b\u200c\u200d\u2060"
"""What may stand around a title and does not belong to it."""
HEADER_AGAIN = "it is the header again: this file was put together of several"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the header is, what it says, and how many cells a row has. Without a header, `header_row` is 0."""

    header: list[str]
    header_row: int
    notices: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        return len(self.header)


def find_layout(rows: Iterable[Row], name: str, known: frozenset[str]) -> Layout | None:
    """Find the header in the first rows; None if there is no row. `known` are headings that the user named."""
    first = [row for row in islice(rows, FIRST_ROWS) if not row.is_blank and not row.problem]
    if not first:
        return None
    width = usual_width([row.cells for row in first])
    header = _header_row(first, width, known)
    if header.number == first[0].number and _is_data(header, known):
        titles = [f"column_{index + 1}" for index in range(width)]
        notice = f"{name} has no header: its first row is taken as data, too, and its columns are called {titles[0]} …"
        return Layout(titles, 0, (notice,))
    below = [row.cells for row in first if row.number > header.number]
    return Layout(_titles(header.cells, below), header.number, _preamble(header.number, first[0].number, name))


def _header_row(first: Sequence[Row], width: int, known: frozenset[str]) -> Row:
    """The row with the most headings that are known; else the first one that is as wide as the others."""
    best = max(first[:MOST_PREAMBLE], key=lambda row: (_known_in(row, known), -row.number))
    if _known_in(best, known) >= 2 or (best is first[0] and _known_in(best, known)):
        return best
    wide = (row for row in first[:MOST_PREAMBLE] if len(row.cells) >= width)
    return next(wide, first[0])


def _known_in(row: Row, known: frozenset[str]) -> int:
    return count_known(row.cells) + sum(cell.strip() in known for cell in row.cells)


def _is_data(row: Row, known: frozenset[str]) -> bool:
    cells = [cell for cell in row.cells if cell.strip()]
    return not _known_in(row, known) and any(is_address(cell) or is_domain(cell) for cell in cells)


def _titles(cells: Sequence[str], below: Sequence[Sequence[str]]) -> list[str]:
    """The titles, without empty columns on the right."""
    titles = [cell.strip(_AROUND) for cell in cells]
    while titles and not titles[-1] and not any(row[len(titles) - 1 : len(titles)] not in ([], [""]) for row in below):
        titles.pop()
    return titles


def _preamble(header: int, first: int, name: str) -> tuple[str, ...]:
    if header == first:
        return ()
    rows = f"row {first} is" if header - first == 1 else f"rows {first} to {header - 1} are"
    return (f"{name}: the header is row {header}; {rows} left out.",)


def table_rows(rows: Iterable[Row], layout: Layout) -> Iterator[Row]:
    """Yield the rows below the header, each as long as the header unless it has a problem; notes below are marked."""
    fitted = _below_header(rows, layout)
    return fitted if layout.width < 2 else _footer_marked(fitted)


def _below_header(rows: Iterable[Row], layout: Layout) -> Iterator[Row]:
    """Yield the rows below the header, fitted to it. Nearly all are as they should be: these take no more calls."""
    header_row, width, title = layout.header_row, layout.width, layout.header[0] if layout.header else ""
    for row in rows:
        number, cells, problem, _ = row
        if number <= header_row:
            continue
        is_usual = cells and len(cells) == width and not problem and cells[0].strip(_AROUND) != title
        yield row if is_usual else _fitted(row, layout)


def _fitted(row: Row, layout: Layout) -> Row:
    width = layout.width
    if layout.header_row and _repeats(row, layout):
        return row._replace(problem=HEADER_AGAIN)
    if row.problem or len(row.cells) == width:
        return row
    if len(row.cells) < width:
        return row._replace(cells=row.cells + [""] * (width - len(row.cells)))
    if any(map(str.strip, row.cells[width:])):
        problem = f"it has {len(row.cells)} cells, the header {width}: quote what holds the delimiter"
        return row._replace(problem=problem)
    return row._replace(cells=row.cells[:width])


def _repeats(row: Row, layout: Layout) -> bool:
    """Whether it is the header once more, since files were put together."""
    cells, header = row.cells, layout.header
    if not cells or cells[0].strip(_AROUND) != header[0]:
        return False
    return [cell.strip(_AROUND) for cell in cells[: layout.width]] == header


def _footer_marked(rows: Iterable[Row]) -> Iterator[Row]:
    """Notes are rows of one cell behind a blank row, to the end of the file."""
    held: list[Row] = []
    for row in rows:
        if not held and row.cells and row.cells[0].strip():
            # Nearly all rows.
            yield row
        elif row.is_blank and all(each.is_blank for each in held):
            yield from held
            held = [row]
        elif held and len(held) < MOST_FOOTER and (row.is_blank or _is_note(row)):
            held.append(row)
        else:
            yield from held
            held = []
            yield row
    yield from (row if row.is_blank else row._replace(is_footer=True) for row in held)


def _is_note(row: Row) -> bool:
    """Whether only one cell is filled, with something that is neither an address nor a domain."""
    filled = [cell for cell in row.cells if cell.strip()]
    return not row.problem and len(filled) == 1 and not (is_address(filled[0]) or is_domain(filled[0]))
