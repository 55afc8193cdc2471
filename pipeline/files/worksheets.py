"""Which sheets of a workbook are looked at."""

from collections.abc import Sequence

from python_calamine import CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

MOST_SHEETS = 20
"""Sheets that are looked at for headings."""


def names_of_visible(workbook: CalamineWorkbook) -> Sequence[str]:
    """The sheets that people see, charts aside, in their order."""
    return [
        each.name
        for each in workbook.sheets_metadata
        if each.visible is SheetVisibleEnum.Visible and each.typ is SheetTypeEnum.WorkSheet
    ]
