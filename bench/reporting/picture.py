"""Draws a table: a panel for each column, a bar for each row, a thin line from the lowest to the highest value."""

from collections.abc import Iterator
from html import escape

from bench.reporting.turns import Spread, Table

BARS, NUMBERS, LETTER = 360, 190, 7
LINE, GAP, HEAD = 22, 26, 24
OURS, THEIRS, INK, FAINT = "#2f6f4f", "#9aa7b4", "#59636e", "#c4ccd4"
"""Readable on white as on black."""


def draw(title: str, table: Table) -> str:
    """The picture as SVG. The first row is ours, and stands out."""
    panels = [(column, list(_bars(table, column))) for column in table.columns]
    labels = LETTER * max(map(len, table.rows)) + 8
    width, height = labels + BARS + NUMBERS, 2 * HEAD + sum(HEAD + LINE * len(bars) + GAP for _, bars in panels)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}">',
        f'<text x="0" y="16" font-size="15" font-weight="600">{escape(title)}</text>',
    ]
    top = 2 * HEAD
    for column, bars in panels:
        lines.append(f'<text x="0" y="{top}" font-weight="600">{escape(column)}</text>')
        lines += _panel(bars, labels, top + LINE)
        top += HEAD + LINE * len(bars) + GAP
    return "\n".join([*lines, "</svg>", ""])


def _bars(table: Table, column: str) -> Iterator[tuple[str, Spread, str]]:
    for place, row in enumerate(table.rows):
        spread = table.spread(row, column)
        if spread:
            yield row, spread, THEIRS if place else OURS


def _panel(bars: list[tuple[str, Spread, str]], left: int, top: int) -> Iterator[str]:
    scale = BARS / (max(spread.highest for _, spread, _ in bars) or 1)
    for place, (row, spread, colour) in enumerate(bars):
        middle, length = top + LINE * place, max(spread.median * scale, 1)
        low, high = left + spread.lowest * scale, left + spread.highest * scale
        yield f'<text x="{left - 8}" y="{middle + 4}" text-anchor="end">{escape(row)}</text>'
        yield f'<rect x="{left}" y="{middle - 6}" width="{length:.1f}" height="12" rx="2" fill="{colour}"/>'
        yield f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="{FAINT}" stroke-width="2"/>'
        yield f'<text x="{max(high, left + length) + 8:.1f}" y="{middle + 4}">{written(spread)}</text>'


def written(spread: Spread) -> str:
    """A cell for people: `1,529 (1,488–1,560)`."""
    middle, low, high = map(number, (spread.median, spread.lowest, spread.highest))
    return middle if spread.of_values == 1 else f"{middle} ({low}–{high})"


def number(value: float) -> str:
    """A number with three digits or more, and no more of them than it needs."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
