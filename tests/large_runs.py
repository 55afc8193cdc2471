"""A database in the middle of large runs. SQL fills it, since working the runs would take minutes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from models.database import Database
from models.schema import new_id
from tests.factories import LOOKUP, VERIFY, account

CHUNK = 20
LEASED, EXPIRED = 5, 2

RUN = """
INSERT INTO runs (id, account_id, pipeline_id, preset, status, contact_count, charged_contacts, extra_columns,
  required_fields, preview_rows, export_formats, charge_per_contact, rebate_per_unresolved, rebate_per_unverified,
  started_at, finished_at, resend_at)
VALUES (:run_id, :account_id, 'email_discovery_v1', 'full_pipeline', :status, :contacts, :contacts, '[]', '[]', 20,
  '["csv"]', 4, 4, 0, now(), CASE WHEN :status IN ('cancelled', 'completed') THEN now() END, now())
"""
STAGES = """
INSERT INTO run_stages (run_id, stage, ordinal, status, done, total, started_at)
VALUES (:run_id, 'email_lookup', 0, CASE WHEN :found = :contacts THEN 'completed' ELSE 'running' END, :found,
        :contacts, now()),
       (:run_id, 'email_verify', 1, CASE WHEN :found = :contacts THEN 'running' ELSE 'pending' END, :verified,
        :contacts, CASE WHEN :found = :contacts THEN now() END)
"""
CONTACTS = """
INSERT INTO contacts (run_id, position, input_row, first_name, last_name, full_name, company, domain, email, extra)
SELECT :run_id, n, n, 'Given', 'Family' || chr(65 + n % 26) || chr(65 + n / 26 % 26), '', 'Example',
  'd' || n / 10 || '.test', NULL, '{"note": "kept"}'
FROM generate_series(0, CAST(:contacts AS int) - 1) n
"""
OUTCOMES = """
INSERT INTO outcomes (run_id, stage, position, status, reason, email, source, score, evidence)
SELECT :run_id, 'email_lookup', n, CASE n % 5 WHEN 0 THEN 'not_found' ELSE 'found' END,
  CASE n % 10 WHEN 0 THEN 'greylisted' WHEN 5 THEN 'every_candidate_refused' ELSE 'mailbox_exists' END,
  CASE n % 5 WHEN 0 THEN NULL ELSE 'a' || n || '@d' || n / 10 || '.test' END, 'permutation', 90,
  jsonb_build_object('pattern', 'first.last', 'mail_host', 'mx.alpha.test')
FROM generate_series(0, CAST(:found AS int) - 1) n
UNION ALL
SELECT :run_id, 'email_verify', n, CASE n % 5 WHEN 0 THEN 'skipped' ELSE 'valid' END,
  CASE n % 5 WHEN 0 THEN 'no_email' ELSE 'mailbox_exists' END,
  CASE n % 5 WHEN 0 THEN NULL ELSE 'a' || n || '@d' || n / 10 || '.test' END, NULL, 98, '{}'
FROM generate_series(0, CAST(:verified AS int) - 1) n
"""
# After the chunks that are done come those that are leased. Of the others, three in ten wait, and the rest is untried.
CHUNKS = """
INSERT INTO run_chunks (run_id, stage, number, first_position, last_position, status, worker, lease_expires_at,
  not_before, waiting)
SELECT :run_id, :stage, n, n * :size, n * :size + :size - 1, s.status, 'worker-1@test/1',
  CASE WHEN s.status = 'leased'
    THEN now() + CASE WHEN n - f.done < :expired THEN -1 ELSE 1 END * interval '1 minute' END,
  CASE WHEN s.waits THEN now() + interval '5 minutes' END, CASE WHEN s.waits THEN :size ELSE 0 END
FROM generate_series(0, CAST(:contacts AS int) / CAST(:size AS int) - 1) n,
  (SELECT CASE :stage WHEN 'email_lookup' THEN :found ELSE :verified END / :size AS done) f,
  LATERAL (SELECT
    CASE WHEN n < f.done THEN 'done' WHEN :is_over THEN 'stopped' WHEN n < f.done + :leased THEN 'leased'
      ELSE 'open' END AS status,
    NOT :is_over AND n >= f.done + :leased AND n % 10 < 3 AS waits) s
"""
DEFERRALS = """
INSERT INTO deferrals (run_id, stage, position, times, until, reason)
SELECT c.run_id, c.stage, n, 1, now() + interval '5 minutes', 'greylisted'
FROM run_chunks c, generate_series(c.first_position, c.last_position) n WHERE c.run_id = :run_id AND c.waiting > 0
"""
COUNT_WAITING = """
UPDATE run_stages s SET waiting = (
  SELECT coalesce(sum(waiting), 0) FROM run_chunks c WHERE c.run_id = s.run_id AND c.stage = s.stage
)
WHERE run_id = :run_id
"""
EVENTS = """
INSERT INTO run_events (run_id, at, kind, stage, worker, detail)
SELECT run_id, now() - interval '1 hour', kind, stage, 'worker-1@test/1', jsonb_build_object('chunk', number)
FROM run_chunks, unnest(ARRAY['chunk_leased', 'resent', 'chunk_finished']) kind
WHERE run_id = :run_id AND status <> 'open'
"""
MEMORY = """
WITH old AS (
  INSERT INTO runs (id, account_id, pipeline_id, preset, status, contact_count, charged_contacts, extra_columns,
    required_fields, preview_rows, export_formats, charge_per_contact, rebate_per_unresolved, rebate_per_unverified,
    started_at, finished_at)
  SELECT gen_random_uuid(), :account_id, 'email_discovery_v1', 'full_pipeline', 'completed', 1, 1, '[]', '[]', 20,
    '["csv"]', 4, 4, 0, now() - interval '1 day', now() - interval '1 day'
  FROM generate_series(1, CAST(:contacts AS int) / 10) n
  RETURNING id
), chunks AS (
  INSERT INTO run_chunks (run_id, stage, number, first_position, last_position, status)
  SELECT id, 'email_lookup', 0, 0, 0, 'done' FROM old
), events AS (
  INSERT INTO run_events (run_id, kind, at)
  SELECT id, kind, now() - interval '1 day' FROM old, unnest(ARRAY['created', 'resent', 'completed']) kind
)
INSERT INTO run_stages (run_id, stage, ordinal, status, done, total, started_at, finished_at)
SELECT id, 'email_lookup', 0, 'completed', 1, 1, now() - interval '1 day', now() - interval '1 day' FROM old;
INSERT INTO lookups (account_id, person, mailbox, reason, score, evidence)
SELECT :account_id, sha256(convert_to('p' || n, 'UTF8')), sha256(convert_to('m' || n, 'UTF8')),
  'mailbox_exists', 95, '{}'
FROM generate_series(1, CAST(:contacts AS int)) n;
INSERT INTO verifications (account_id, address, status, reason, score, evidence)
SELECT :account_id, sha256(convert_to('v' || n, 'UTF8')), 'valid', 'mailbox_exists', 98, '{}'
FROM generate_series(1, CAST(:contacts AS int)) n;
INSERT INTO suppressions (account_id, sha256, kind)
SELECT :account_id, sha256(convert_to('s' || n, 'UTF8')), 'address' FROM generate_series(1, CAST(:contacts AS int)) n;
INSERT INTO domain_patterns (domain, pattern, confirmed)
SELECT 'd' || n / 3 || '.test', 'p' || n % 3, 1 FROM generate_series(1, CAST(:contacts AS int)) n;
INSERT INTO provider_answers (account_id, provider, question, run_id, answered_at, status, cost)
SELECT :account_id, 'example', sha256(convert_to('q' || n, 'UTF8')), :run_id, now(), 'not_found', 0.01
FROM generate_series(1, CAST(:contacts AS int)) n;
INSERT INTO provider_spending (run_id, day, account_id, cost)
SELECT run_id, (now() AT TIME ZONE 'UTC')::date, :account_id, sum(cost) FROM provider_answers GROUP BY run_id
"""


@dataclass(frozen=True, slots=True)
class LargeRuns:
    """Runs of one account: `looking_up` and `verifying` are running, `cancelled` is not. Many small ones completed."""

    account_id: UUID
    contacts: int
    looking_up: UUID
    verifying: UUID
    cancelled: UUID


def large_runs(database: Database, contacts: int) -> LargeRuns:
    """Fill the tables."""
    account_id = account(database, credits_granted=1_000_000_000).account_id
    runs = LargeRuns(account_id, contacts, new_id(), new_id(), new_id())
    with database.engine.begin() as connection:
        # The rows are consistent. Checking each foreign key would take longer than all the rest.
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        _fill(connection, runs.looking_up, account_id, contacts, found=contacts * 2 // 5)
        _fill(connection, runs.verifying, account_id, contacts, found=contacts, verified=contacts * 2 // 5)
        _fill(connection, runs.cancelled, account_id, contacts, found=contacts * 3 // 5, status="cancelled")
        of_account = {"account_id": account_id, "contacts": contacts, "run_id": runs.looking_up}
        for statement in MEMORY.split(";"):
            _execute(connection, statement, of_account)
    return runs


def stop_autovacuum(database: Database) -> None:
    """Keep the tables as they were filled: nothing analyses them."""
    tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    with database.engine.begin() as connection:
        for table in connection.execute(text(tables)).scalars().all():
            connection.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))


def _fill(
    connection: Connection,
    run_id: UUID,
    account_id: UUID,
    contacts: int,
    found: int,
    verified: int = 0,
    status: str = "running",
) -> None:
    parameters = {
        "run_id": run_id,
        "account_id": account_id,
        "contacts": contacts,
        "found": found,
        "verified": verified,
        "status": status,
        "size": CHUNK,
        "leased": LEASED,
        "expired": EXPIRED,
        "is_over": status != "running",
    }
    for statement in (RUN, STAGES, CONTACTS, OUTCOMES):
        _execute(connection, statement, parameters)
    for stage in (LOOKUP, VERIFY) if found == contacts else (LOOKUP,):
        _execute(connection, CHUNKS, parameters | {"stage": stage})
    for statement in (DEFERRALS, COUNT_WAITING, EVENTS):
        _execute(connection, statement, parameters)


def _execute(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> None:
    clause = text(statement)
    connection.execute(clause, {name: parameters[name] for name in clause.compile().params})
