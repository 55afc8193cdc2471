"""How fast export files are written: rows per second, of runs as large as `--contacts`.

Two runs, filled by SQL into a database that is never analysed: one whose contacts have no further columns, one whose
contacts have three. Their files are written by turns as a worker writes them; beside them

- the CSV file as it was once written, row by row,
- `COPY` of the same rows into a file, neither hashed nor flushed to disk: the limit.

A row of *CSV and JSON* is one contact in both files. Ends in one line of JSON.
"""

import argparse
import csv
import hashlib
import io
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from sqlalchemy import text
from sqlalchemy.orm import Session

from bench.reporting.results import publish
from bench.reporting.turns import Table, significant, take_turns
from cli.accounts import create_account
from cli.local.embedded import embedded_postgres
from models.database import Database, idle_transaction_allowed, open_database
from models.migrate import migrate
from models.queries import FIRST_RESULTS, READ_ALL, stream_results
from models.run import Run
from models.schema import new_id
from pipeline.results.exports import write_exports
from pipeline.results.rows import Table as RunTable
from pipeline.results.rows import export_columns, our_columns, result_contact
from pipeline.results.wanted import exports_in
from pipeline.stages import address_stages
from pipeline.storage import Folder

RATE, PYTHON, POSTGRES = "rows/s", "Python: µs a row", "Postgres: µs a row"
FURTHER = {"job title": "Head of Sales", "employees": 250, "city": "Zürich"}
STEP = 7919
"""The client's order is far from the order of work, in which contacts are stored. It has no factor in common with any
number of contacts but its own multiples."""

TABLES = text("""
SELECT tree.relid::regclass::text
FROM unnest(ARRAY['contacts', 'outcomes']) AS parent, pg_partition_tree(parent) AS tree WHERE tree.isleaf
""")
RUN = text("""
INSERT INTO runs (id, account_id, pipeline_id, preset, status, contact_count, charged_contacts, extra_columns,
  required_fields, preview_rows, export_formats, charge_per_contact, rebate_per_unresolved, rebate_per_unverified,
  started_at)
VALUES (:run_id, :account_id, 'email_discovery_v1', 'full_pipeline', 'running', :contacts, :contacts,
  CAST(:columns AS jsonb), '["email"]', 10, '["csv", "json"]', 4, 4, 0, now())
""")
CONTACTS = text("""
INSERT INTO contacts (run_id, position, input_row, first_name, last_name, full_name, company, domain, extra)
SELECT :run_id, n, CAST(n AS bigint) * :step % :contacts, 'Given' || n, 'Family' || n, '', 'Example Company ' || n / 10,
  'domain' || n / 10 || '.test', CAST(:extra AS json)
FROM generate_series(0, CAST(:contacts AS int) - 1) n
""")
OUTCOMES = text("""
INSERT INTO outcomes (run_id, stage, position, status, reason, email, source, score, evidence)
SELECT :run_id, s.stage, n, CASE n % 5 WHEN 0 THEN s.without ELSE s.status END,
  CASE n % 5 WHEN 0 THEN s.why_not ELSE 'mailbox_exists' END,
  CASE WHEN n % 5 > 0 THEN 'given' || n || '.family' || n || '@domain' || n / 10 || '.test' END, s.source, 95,
  jsonb_build_object('reply', jsonb_build_object('mail_host', 'mx.domain.test', 'reply_code', 250), 'catch_all', false)
FROM generate_series(0, CAST(:contacts AS int) - 1) n, (VALUES
  ('email_lookup', 'found', 'not_found', 'every_candidate_refused', 'permutation'),
  ('email_verify', 'valid', 'skipped', 'no_email', NULL)
) AS s (stage, status, without, why_not, source)
""")
COPIED = """
COPY (
  SELECT c.first_name, c.last_name, c.full_name, c.company, c.domain, c.email, coalesce(l.email, v.email), v.status,
    v.reason, v.score, l.source
  FROM contacts c
  LEFT JOIN outcomes l ON l.run_id = c.run_id AND l.stage = 'email_lookup' AND l.position = c.position
  LEFT JOIN outcomes v ON v.run_id = c.run_id AND v.stage = 'email_verify' AND v.position = c.position
  WHERE c.run_id = %s AND NOT c.erased ORDER BY c.input_row
) TO STDOUT (FORMAT csv)
"""


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--contacts", type=int, default=200_000)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="growth-bench-") as home, filled_database(Path(home)) as database:
        plain, further = (add_run(database, options.contacts, extra) for extra in ({}, FURTHER))
        place = Path(home, "exports")
        turns = {
            "CSV": partial(write, place=place, run_id=plain, formats=["csv"]),
            "JSON": partial(write, place=place, run_id=plain, formats=["json"]),
            "CSV and JSON": partial(write, place=place, run_id=plain, formats=["csv", "json"]),
            "CSV, further columns": partial(write, place=place, run_id=further, formats=["csv"]),
            "CSV and JSON, further columns": partial(write, place=place, run_id=further, formats=["csv", "json"]),
            "CSV, row by row": partial(write_row_by_row, place=place, run_id=plain),
            "COPY of the same rows": partial(copy, place=place, run_id=plain),
        }
        measured = {name: partial(cost_of, database, does, options.contacts) for name, does in turns.items()}
        take_turns(measured, 1)  # once, so that what it reads is in memory
        table = take_turns(measured, options.rounds)
    publish("exports", f"Export files of {options.contacts:,} contacts", table, figures_of(table), vars(options))


@contextmanager
def filled_database(home: Path) -> Iterator[Database]:
    """A new database, which nothing analyses."""
    with embedded_postgres(home / "postgres") as url, closing(open_database(url, pool_size=2)) as database:
        migrate(database)
        with database.transaction() as session:
            for table in session.scalars(TABLES).all():
                session.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))
        yield database


def add_run(database: Database, contacts: int, extra: Mapping[str, object]) -> UUID:
    """A run whose stages are complete."""
    account_id, run_id = create_account(database, "Example Account", 0).account_id, new_id()
    given = {"run_id": run_id, "account_id": account_id, "contacts": contacts, "step": STEP}
    with database.transaction() as session:
        session.execute(text("SET LOCAL statement_timeout = 0"))
        session.execute(RUN, given | {"columns": json.dumps(list(extra))})
        session.execute(CONTACTS, given | {"extra": json.dumps(extra, ensure_ascii=False)})
        session.execute(OUTCOMES, given)
    return run_id


def write(session: Session, place: Path, run_id: UUID, formats: Sequence[str]) -> None:
    """Write these files of a run, as a worker does, but for the lease."""
    run = session.get_one(Run, run_id)
    with closing(stream_results(session, run_id, *address_stages(run.preset))) as rows:
        files = write_exports(Folder(place), run_id, exports_in(formats), RunTable(run.extra_columns), rows)
    Folder(place).discard(file.unfinished for file in files)


def copy(session: Session, place: Path, run_id: UUID) -> None:
    """Copy nearly the same rows into a file, by the same plan."""
    session.execute(READ_ALL)
    with (
        driver_of(session).cursor() as cursor,
        cursor.copy(COPIED, (run_id,)) as rows,
        (place / "copied").open("wb") as file,
    ):
        for row in rows:
            file.write(row)


def write_row_by_row(session: Session, place: Path, run_id: UUID) -> None:
    """Write the CSV file as it once was: two look-ups of outcomes, a mapping, a line and a write for each contact."""
    run, digest = session.get_one(Run, run_id), hashlib.sha256()
    stages, ours = address_stages(run.preset), our_columns(())
    given = {"run_id": run_id, "count": run.contact_count, "finding": stages.finding, "judging": stages.judging}
    columns = export_columns((), ours)
    with (place / "row-by-row").open("wb") as file:
        for row in session.execute(FIRST_RESULTS, given, execution_options={"yield_per": 2000}):
            contact, line = result_contact(row, ours), io.StringIO()
            csv.writer(line).writerow([contact[column] for column in columns])
            data = line.getvalue().encode()
            digest.update(data)
            file.write(data)
        os.fsync(file.fileno())


def cost_of(database: Database, does: Callable[[Session], None], contacts: int) -> Mapping[str, Sequence[float]]:
    """What doing it in a transaction costs, on the clock and on either side's processor."""
    with database.transaction() as session, idle_transaction_allowed(session):
        server = psutil.Process(driver_of(session).info.backend_pid)
        began, python, postgres = time.perf_counter(), time.process_time(), processor_time(server)
        does(session)
        seconds = time.perf_counter() - began
        per_row = (
            1e6 * (time.process_time() - python) / contacts,
            1e6 * (processor_time(server) - postgres) / contacts,
        )
    return {RATE: [contacts / seconds], PYTHON: [per_row[0]], POSTGRES: [per_row[1]]}


def figures_of(table: Table) -> dict[str, object]:
    """Rows per second, processor time for a row, and the peak memory of this process."""
    columns = {"rows_per_s": RATE, "python_us": PYTHON, "postgres_us": POSTGRES}
    rows = {
        "csv": "CSV",
        "json": "JSON",
        "both": "CSV and JSON",
        "csv_further": "CSV, further columns",
        "both_further": "CSV and JSON, further columns",
        "row_by_row": "CSV, row by row",
        "copy": "COPY of the same rows",
    }
    figures: dict[str, object] = {
        key: {name: significant(table.median(row, column) or 0) for name, column in columns.items()}
        for key, row in rows.items()
    }
    return figures | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def processor_time(process: psutil.Process) -> float:
    """Of a process until now."""
    times = process.cpu_times()
    return float(times.user + times.system)


def driver_of(session: Session) -> Any:
    """The driver's own connection."""
    return session.connection().connection.driver_connection


if __name__ == "__main__":
    main()
