"""Writes a list with a verdict on each row, as CSV or JSON lines."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from cli.verify.as_json import outcome_as_json, outcome_as_reacher
from cli.verify.verdict_format import VerdictFormat
from cli.verify.worklist import Worklist
from cli.whole_file import whole_file
from pipeline.evidence import Evidence, ReplyEvidence
from pipeline.files.addresses import AddressList
from pipeline.mail.address.syntax import Address, SyntaxProblem, parse_address
from pipeline.mail.verdict import INVALID_SYNTAX
from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from pipeline.results.rows import result_column

COLUMNS = ("email_status", "email_reason", "email_score", "email_mail_host", "email_reply")
ROWS_AT_ONCE = 500


Judged = Iterator[tuple[Sequence[str], Outcome]]
Writer = Callable[[TextIO, AddressList, Judged], None]
"""Writes a header if there is one, and all rows."""
VerdictCounts = Counter[tuple[OutcomeStatus, Reason]]
"""How many rows got each status and reason."""


def write_verdicts(output: Path, output_format: VerdictFormat, file: AddressList, worklist: Worklist) -> VerdictCounts:
    """Write the list with verdicts; the file appears in its place once it is complete."""
    counts = VerdictCounts()
    with whole_file(output) as place:
        stream = io.TextIOWrapper(place, encoding="utf-8", newline="")
        WRITERS[output_format](stream, file, _counted(_judged(file, worklist), counts))
        stream.detach()
    return counts


def no_address(problem: SyntaxProblem) -> Outcome:
    """The outcome of a text that is not an address."""
    verdict = INVALID_SYNTAX
    return Outcome(0, verdict.status, verdict.reason, score=verdict.score, evidence=Evidence(syntax=problem.sentence))


def _judged(file: AddressList, worklist: Worklist) -> Judged:
    rows = file.rows()
    while some := list(islice(rows, ROWS_AT_ONCE)):
        texts = [file.address(row) for row in some]
        known = worklist.outcomes(texts)
        others = {text: parse_address(text) for text in texts if text not in known}
        known |= worklist.outcomes([str(other) for other in others.values() if isinstance(other, Address)])
        yield from ((row, _outcome(file.address(row), others, known)) for row in some)


def _counted(judged: Judged, counts: VerdictCounts) -> Judged:
    for row, outcome in judged:
        counts[outcome.status, outcome.reason] += 1
        yield row, outcome


def _outcome(text: str, others: Mapping[str, Address | SyntaxProblem], known: Mapping[str, Outcome]) -> Outcome:
    if not text.strip():
        return Outcome(0, OutcomeStatus.SKIPPED, Reason.NO_EMAIL)
    other = others.get(text)
    return no_address(other) if isinstance(other, SyntaxProblem) else known[str(other or text)]


def _write_csv(stream: TextIO, file: AddressList, judged: Judged) -> None:
    writer = csv.writer(stream, delimiter=file.table.delimiter)
    writer.writerow([*file.header, *(result_column(name, file.header) for name in COLUMNS)])
    for row, outcome in judged:
        reply = outcome.evidence.reply or ReplyEvidence()
        text = f"{reply.reply_code} {reply.reply_text}" if reply.reply_code else reply.reply_text
        writer.writerow([*row, outcome.status, outcome.reason, outcome.score, reply.mail_host, text])


def _write_json_lines(as_json: Callable[[str, Outcome], dict[str, Any]]) -> Writer:
    def write(stream: TextIO, file: AddressList, judged: Judged) -> None:
        for row, outcome in judged:
            stream.write(json.dumps(as_json(file.address(row), outcome), ensure_ascii=False) + "\n")

    return write


WRITERS: Mapping[VerdictFormat, Writer] = {
    VerdictFormat.CSV: _write_csv,
    VerdictFormat.JSONL: _write_json_lines(outcome_as_json),
    VerdictFormat.REACHER: _write_json_lines(outcome_as_reacher),
}
