"""What export files hold, byte for byte: what Python's `csv` and `json` make of each contact alone."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database import Database
from models.queries import ResultRow, first_results, stream_results
from models.run import Run
from models.wire import ContactIn
from pipeline.credits import RateCard
from pipeline.results.exports import write_exports
from pipeline.results.formats import Format
from pipeline.results.rows import Table, export_columns, our_columns, result_contact
from pipeline.results.text_formats import CsvFormat, JsonFormat
from pipeline.results.wanted import exports_in
from pipeline.runs.create import create_run
from pipeline.storage import Folder
from tests.factories import LOOKUP, VERIFY, account, order_of

QUOTED = [
    'a "b", c',
    "two\nlines",
    "\r",
    "\r\n",
    ",",
    '"',
    " padded ",
    "=1+1",
    "-1",
    "@x",
    "Zoë",
    "\\N",
    "\\.",
    "",
    "\x85",
]
texts = st.sampled_from(QUOTED) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
visible = texts.map(lambda some: "".join(c for c in some if c >= " " and c != "\x7f"))
numbers = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
COLUMNS = ["note", 'a, "b"', "50%", "Größe", "email_status", ""]
extras = st.dictionaries(st.sampled_from(COLUMNS), values, max_size=4)
scores = st.integers(0, 100)
result_rows = st.tuples(
    *[texts] * 5,
    st.none() | texts,
    st.none() | texts,
    *[st.none() | texts] * 2,
    scores,
    st.none() | texts,
    st.builds(lambda extra, in_ascii: json.dumps(extra, ensure_ascii=in_ascii), extras, st.booleans()),
)


def text_of(made: Format, batches: Sequence[Sequence[ResultRow]]) -> str:
    return (made.head() + b"".join(map(made.rows, batches)) + made.tail()).decode()


def in_batches(rows: Sequence[ResultRow], cuts: set[int]) -> list[Sequence[ResultRow]]:
    edges = sorted({0, len(rows)} | {cut for cut in cuts if cut < len(rows)})
    return [rows[first:last] for first, last in pairwise(edges)]


def csv_of(contacts: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for contact in contacts:
        cells = [contact.get(column) for column in columns]
        writer.writerow(
            ["" if v is None else v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in cells]
        )
    return buffer.getvalue()


def json_of(contacts: Sequence[dict[str, Any]]) -> str:
    if not contacts:
        return "[]\n"
    return "[\n" + ",\n".join(json.dumps(contact, ensure_ascii=False) for contact in contacts) + "\n]\n"


@given(st.lists(result_rows, max_size=6), st.sets(st.integers(1, 5)))
@example([], set())
def test_files_hold_what_csv_and_json_make_of_each_contact(rows: list[ResultRow], cuts: set[int]) -> None:
    batches, ours = in_batches(rows, cuts), our_columns(COLUMNS)
    contacts = [result_contact(row, ours) for row in rows]

    assert text_of(CsvFormat(Table(COLUMNS)), batches) == csv_of(contacts, export_columns(COLUMNS, ours))
    assert text_of(JsonFormat(Table(COLUMNS)), batches) == json_of(contacts)


def test_rows_end_as_rfc_4180_says_and_only_what_needs_it_is_quoted() -> None:
    row = ("Ada", 'the "first"', "", "A, B", "alpha.test", None, "a@alpha.test", "valid", "=1+1", 98, None, "{}")

    header, line, end = text_of(CsvFormat(Table()), [[row]]).split("\r\n")

    assert header.startswith("first_name,last_name,full_name,company,domain,input_email,email,")
    assert line == 'Ada,"the ""first""",,"A, B",alpha.test,,a@alpha.test,valid,=1+1,98,'
    assert end == ""


@dataclass(frozen=True)
class Judged:
    """An outcome of either stage, as far as files hold it."""

    status: str
    reason: str
    email: str | None
    source: str | None
    score: int


addresses = st.none() | st.sampled_from(["", "a@alpha.test", '"b, c"@alpha.test'])
looked_up = st.builds(
    Judged,
    st.sampled_from(["not_found", "unknown"]),
    st.sampled_from(["", "mailbox_exists"]),
    addresses,
    st.sampled_from([None, "", "permutation"]),
    scores,
)
verified = st.builds(
    Judged,
    st.sampled_from(["invalid", "unknown", "skipped"]),
    st.sampled_from(["", "no_email"]),
    addresses,
    st.none(),
    scores,
)
people = st.builds(
    lambda name, more, email: ContactIn.model_validate(
        {"full_name": f"N{name}", "domain": "alpha.test", "email": email, **more}
    ),
    visible,
    extras.map(lambda more: {column: value for column, value in more.items() if column}),
    st.sampled_from(["", "in@alpha.test"]),
)
worked = st.tuples(people, st.none() | looked_up, st.none() | verified)

RECORD = text("""
INSERT INTO outcomes (run_id, stage, position, status, reason, email, source, score, evidence)
SELECT run_id, :stage, position, :status, :reason, :email, :source, :score, '{}'
FROM contacts WHERE run_id = :run_id AND input_row = :row
""")


def expected(
    person: ContactIn, lookup: Judged | None, verdict: Judged | None, columns: Sequence[str]
) -> dict[str, Any]:
    """The rules: the verdict decides if there is one; without an address only its absence is explained."""
    names = our_columns(columns)
    email = next((each.email for each in (lookup, verdict) if each and each.email is not None), None)
    result: tuple[Any, ...]
    if email is None:
        reason = (lookup.reason if lookup else None) or (verdict.reason if verdict else None)
        result = (None, lookup.status if lookup else None, reason, 0, None)
    elif verdict is None:
        assert lookup
        result = (email, "unverified", lookup.reason, lookup.score, lookup.source)
    else:
        result = (email, verdict.status, verdict.reason, verdict.score, (lookup.source if lookup else None) or "input")
    own = {name: getattr(person, name) for name in ("first_name", "last_name", "full_name", "company", "domain")}
    further = person.model_extra or {}
    return {
        **own,
        names["input_email"]: person.email or None,
        **further,
        **dict(zip(list(names.values())[1:], result, strict=True)),
    }


def worked_run(
    session: Session, account_id: UUID, contacts: Sequence[tuple[ContactIn, Judged | None, Judged | None]]
) -> Run:
    plan = order_of([person for person, _, _ in contacts])
    run_id = create_run(session, account_id, plan, rate_card=RateCard()).run_id
    for row, (_, lookup, verdict) in enumerate(contacts):
        for stage, outcome in ((LOOKUP, lookup), (VERIFY, verdict)):
            if outcome:
                session.execute(RECORD, {"run_id": run_id, "row": row, "stage": stage, **vars(outcome)})
    return session.get_one(Run, run_id)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(contacts=st.lists(worked, min_size=1, max_size=12))
def test_files_hold_each_contact_with_the_outcomes_of_its_stages(
    database: Database, tmp_path: Path, contacts: list[tuple[ContactIn, Judged | None, Judged | None]]
) -> None:
    owner = account(database, 10_000).account_id
    with database.transaction() as session:
        run = worked_run(session, owner, contacts)
        first = first_results(session, run.id, len(contacts), LOOKUP, VERIFY)
        rows = stream_results(session, run.id, LOOKUP, VERIFY)
        exports = write_exports(Folder(tmp_path), run.id, exports_in(["csv", "json"]), Table(run.extra_columns), rows)
    files = [(tmp_path / export.unfinished).read_bytes().decode() for export in exports]

    ours = our_columns(run.extra_columns)
    delivered = [expected(*contact, run.extra_columns) for contact in contacts]
    assert [result_contact(row, ours) for row in first] == delivered
    assert files == [csv_of(delivered, export_columns(run.extra_columns, ours)), json_of(delivered)]
