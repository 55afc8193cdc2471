"""A list with a verdict on each of its rows, as CSV or as JSON lines; whole, or not there at all."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from cli.csv_input import AddressFile
from cli.verify.as_json import outcome_as_json, outcome_as_reacher
from cli.verify.verdict_format import VerdictFormat
from cli.verify.worklist import Worklist
from cli.whole_file import whole_file
from pipeline.mail.address.syntax import Address, SyntaxProblem, parse_address
from pipeline.mail.verdict import INVALID_SYNTAX
from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from pipeline.results.rows import result_column

COLUMNS = ("email_status", "email_reason", "email_score", "email_mail_host", "email_reply")
ROWS_AT_ONCE = 500


Judged = Iterator[tuple[Sequence[str], Outcome]]
Writer = Callable[[TextIO, AddressFile, Judged], int]
"""Writes a header if there is one, and all rows; how many there were."""


def write_verdicts(output: Path, output_format: VerdictFormat, file: AddressFile, worklist: Worklist) -> int:
    """Write the list beside its place, and put it there once it is whole; how many rows there are."""
    with whole_file(output) as place:
        stream = io.TextIOWrapper(place, encoding="utf-8", newline="")
        rows = WRITERS[output_format](stream, file, _judged(file, worklist))
        stream.detach()
    return rows


def no_address(problem: SyntaxProblem) -> Outcome:
    """The outcome of a text that is no address."""
    verdict = INVALID_SYNTAX
    return Outcome(0, verdict.status, verdict.reason, score=verdict.score, evidence={"syntax": problem.sentence})


def _judged(file: AddressFile, worklist: Worklist) -> Judged:
    rows = file.rows()
    while some := list(islice(rows, ROWS_AT_ONCE)):
        texts = [row[file.column] for row in some]
        known = worklist.outcomes(texts)
        others = {text: parse_address(text) for text in texts if text not in known}
        known |= worklist.outcomes([str(other) for other in others.values() if isinstance(other, Address)])
        yield from ((row, _outcome(row[file.column], others, known)) for row in some)


def _outcome(text: str, others: Mapping[str, Address | SyntaxProblem], known: Mapping[str, Outcome]) -> Outcome:
    if not text.strip():
        return Outcome(0, OutcomeStatus.SKIPPED, Reason.NO_EMAIL)
    other = others.get(text)
    return no_address(other) if isinstance(other, SyntaxProblem) else known[str(other or text)]


def _write_csv(stream: TextIO, file: AddressFile, judged: Judged) -> int:
    writer, rows = csv.writer(stream, delimiter=file.file.delimiter), 0
    writer.writerow([*file.header, *(result_column(name, file.header) for name in COLUMNS)])
    for rows, (row, outcome) in enumerate(judged, start=1):  # noqa: B007 - the last number is the count
        seen = outcome.evidence
        reply = f"{seen['reply_code']} {seen['reply_text']}" if seen.get("reply_code") else seen.get("reply_text")
        writer.writerow([*row, outcome.status, outcome.reason, outcome.score, seen.get("mail_host"), reply])
    return rows


def _write_json_lines(as_json: Callable[[str, Outcome], dict[str, Any]]) -> Writer:
    def write(stream: TextIO, file: AddressFile, judged: Judged) -> int:
        rows = 0
        for rows, (row, outcome) in enumerate(judged, start=1):  # noqa: B007 - the last number is the count
            stream.write(json.dumps(as_json(row[file.column], outcome), ensure_ascii=False) + "\n")
        return rows

    return write


WRITERS: Mapping[VerdictFormat, Writer] = {
    VerdictFormat.CSV: _write_csv,
    VerdictFormat.JSONL: _write_json_lines(outcome_as_json),
    VerdictFormat.REACHER: _write_json_lines(outcome_as_reacher),
}
