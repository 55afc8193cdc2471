"""Reads a list of addresses: any table with a column of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UnusableFile
from pipeline.files.cells import first_address
from pipeline.files.columns import nearest, recognise
from pipeline.files.table import Table, open_table


@dataclass(frozen=True, slots=True)
class AddressList:
    """How to read a list of addresses. `header` is made up if the file has none; `column` holds the addresses."""

    table: Table
    header: Sequence[str]
    column: int

    @property
    def path(self) -> Path:
        return self.table.path

    def address(self, row: Sequence[str]) -> str:
        """The address of a row as it is written; the first one if the cell has several."""
        return first_address(row[self.column])

    @property
    def notices(self) -> Sequence[str]:
        return self.table.notices

    def rows(self) -> Iterator[list[str]]:
        """Yield each row that is not blank, as long as the header. Raises `UnusableFile`."""
        for row in self.table.rows():
            if row.problem:
                raise UnusableFile(f"{self.table.name} can't be used as it is: row {row.number}: {row.problem}.")
            if not (row.is_blank or row.is_footer):
                yield row.cells


def open_addresses(path: Path) -> AddressList:
    """Find out how to read a list of addresses. Raises `UnusableFile`."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UnusableFile(f"{path} is not an ordinary file: save what comes from it as one first.")
    table = open_table(path)
    column = recognise(table.header, table.sample()).fields.get("email")
    if column is None:
        raise UnusableFile(
            f"{table.name} has no column of addresses: call one `email`. {nearest(table.header, ['email'])}"
        )
    header = table.header if table.has_header else [*table.header]
    if not table.has_header:
        header[column] = "email"
    return AddressList(table, header, column)
