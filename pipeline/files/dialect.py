"""Finds out delimiter and quotes of a CSV file from its first rows: the consistent reading wins."""

import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from pipeline.files.headings import count_known
from pipeline.files.rows import Dialect, read_rows

DELIMITERS = ",;\t|~^\x1f:"
SAMPLE_CHARS = 256 << 10
SAMPLE_ROWS = 200
CONSISTENT = 0.6
_SEPARATOR_LINE = re.compile(r'\ufeff?"?sep=(.)"?[\t,; ]*\r?\n?', re.IGNORECASE)
_LINE_ENDS = re.compile(r"[\r\n]+")
_QUOTED_AS_A_WHOLE = re.compile(r'\ufeff?"[^"]*[,;\t|]')
_QUOTED_LINE = re.compile(r"'[^\"]*'")


class _Fit(NamedTuple):
    """How well a dialect fits; tuples compare from left to right."""

    known_headings: int
    is_consistent: bool
    agreeing: float
    columns: int


def find_dialect(sample: str) -> Dialect:
    """Find out how a text is written whose first characters are these."""
    if (stated := _SEPARATOR_LINE.match(sample)) is not None:
        return replace(_quoting(sample[stated.end() :], stated[1]), skipped_lines=1)
    best = _best(sample)
    rows = sample_rows(sample, best)
    if usual_width(rows) == 1 and _QUOTED_AS_A_WHOLE.match(sample):
        inner = _best("\n".join(row[0] for row in rows if row))
        if inner.quote == best.quote and usual_width(sample_rows(sample, nested := replace(inner, is_nested=True))) > 1:
            return nested
    return best


def _best(sample: str) -> Dialect:
    dialects = [_quoting(sample, delimiter) for delimiter in DELIMITERS if delimiter in sample]
    return max(dialects, key=lambda dialect: _fit(sample, dialect), default=Dialect())


def sample_rows(sample: str, dialect: Dialect) -> list[list[str]]:
    """The rows of a sample that are not blank; without its last one, which may be cut off."""
    rows: list[list[str]] = []
    for row in read_rows(io.StringIO(sample, newline=""), dialect, ""):
        if len(rows) > SAMPLE_ROWS:
            break
        if not row.is_blank:
            rows.append(row.cells)
    return rows[:-1] if len(sample) >= SAMPLE_CHARS and len(rows) > 1 else rows


def usual_width(rows: Sequence[Sequence[str]]) -> int:
    """How many cells most rows have; of two equally frequent numbers the larger one."""
    widths = Counter(map(len, rows))
    return max(widths, key=lambda width: (widths[width], width), default=0)


def _quoting(sample: str, delimiter: str) -> Dialect:
    first = next((line for line in _LINE_ENDS.split(sample) if line.strip()), "")
    quote = "'" if _QUOTED_LINE.fullmatch(first.strip()) else '"'
    plain = Dialect(delimiter, quote)
    if f"{delimiter} {quote}" in sample and delimiter != " ":
        spaced = replace(plain, has_blanks=True)
        plain = spaced if _fit(sample, spaced)[:3] >= _fit(sample, plain)[:3] else plain
    escaped = replace(plain, escape="\\")
    if f"\\{quote}" in sample and _fit(sample, escaped)[:3] > _fit(sample, plain)[:3]:
        return escaped
    return plain


def _fit(sample: str, dialect: Dialect) -> _Fit:
    rows = sample_rows(sample, dialect)
    width = usual_width(rows)
    agreeing = sum(len(row) == width for row in rows) / (len(rows) or 1)
    known = max((count_known(row) for row in rows[:30] if len(row) > 1), default=0)
    return _Fit(known, agreeing >= CONSISTENT and width > 1, round(agreeing, 1), width)
