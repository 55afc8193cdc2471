"""A database with many finished runs and few others, filled by SQL."""

from sqlalchemy import text

from models.database import Database
from tests.factories import account, pending_run, started_run
from tests.large_runs import stop_autovacuum

ACCOUNTS = 3
UNEXPORTED, OVERDUE, EXPIRED, LET_GO = 6, 2, 3, 4

# Of those that are finished half have expired, and of the others half are retracted: their rows wait for their week.
RUNS = """
INSERT INTO runs (id, account_id, pipeline_id, preset, status, contact_count, charged_contacts, extra_columns,
  required_fields, preview_rows, export_formats, charge_per_contact, rebate_per_unresolved, rebate_per_unverified,
  created_at, started_at, finished_at, retracted_at, delete_rows_at, expired_at, resend_at, export_retry_at)
SELECT gen_random_uuid(), a.ids[1 + n % array_length(a.ids, 1)], 'email_discovery_v1', 'full_pipeline', 'completed',
  10, 10, '[]', '[]', 20, '["csv"]', 4, 4, 0, r.at, r.at, r.at,
  r.retracted_at, r.retracted_at + interval '10 days', r.expired_at, r.at,
  CASE WHEN n <= :unexported THEN now() - interval '1 minute' END
FROM (SELECT array_agg(id) AS ids FROM accounts) a, generate_series(1, CAST(:runs AS int)) n,
  LATERAL (SELECT CASE WHEN n <= :unexported OR n % 4 = 1 THEN NULL WHEN n % 4 = 3 THEN now() - interval '5 days'
    ELSE now() - interval '60 days' END AS retracted_at) w,
  LATERAL (SELECT coalesce(w.retracted_at - interval '30 days', now() - interval '1 day') AS at, w.retracted_at,
    CASE WHEN n % 2 = 0 THEN w.retracted_at END AS expired_at) r
"""
STAGES = """
INSERT INTO run_stages (run_id, stage, ordinal, status, done, total, started_at, finished_at)
SELECT id, stage, ordinal - 1, 'completed', 10, 10, finished_at, finished_at
FROM runs, unnest(ARRAY['email_lookup', 'email_verify']) WITH ORDINALITY AS s(stage, ordinal)
WHERE finished_at IS NOT NULL
"""
CHUNKS = """
INSERT INTO run_chunks (run_id, stage, number, first_position, last_position, status, worker)
SELECT id, stage, 0, 0, 9, 'done', 'worker-1@test/1'
FROM runs, unnest(ARRAY['email_lookup', 'email_verify', 'compile']) AS stage
WHERE finished_at IS NOT NULL AND expired_at IS NULL
"""
EVENTS = """
INSERT INTO run_events (run_id, at, kind, detail)
SELECT id, finished_at, kind, '{}' FROM runs, unnest(ARRAY['created', 'chunk_leased', 'resent', 'completed']) AS kind
WHERE finished_at IS NOT NULL
"""
FILES = """
INSERT INTO stored_files (key, run_id, may_appear_until)
SELECT id || '/' || name, id, now() FROM runs, unnest(ARRAY['contacts.csv', 'contacts.json']) AS name
WHERE finished_at IS NOT NULL
"""
REMEMBERED = """
INSERT INTO lookups (account_id, person, reason, score, evidence)
SELECT account_id, sha256(convert_to(id::text, 'UTF8')), 'every_candidate_refused', 95, '{}' FROM runs;
INSERT INTO verifications (account_id, address, status, reason, score, evidence)
SELECT account_id, sha256(convert_to(id::text, 'UTF8')), 'valid', 'mailbox_exists', 98, '{}' FROM runs;
INSERT INTO provider_answers (account_id, provider, question, run_id, answered_at, status)
SELECT account_id, 'example', sha256(convert_to(id::text, 'UTF8')), id, now(), 'not_found' FROM runs;
"""
DUE = (
    "UPDATE runs SET resend_at = now() - interval '1 minute' WHERE finished_at IS NULL",
    "UPDATE runs SET created_at = now() - interval '90 days' WHERE id IN "
    f"(SELECT id FROM runs WHERE finished_at IS NULL LIMIT {OVERDUE})",
    "UPDATE runs SET finished_at = now() - interval '45 days' WHERE id IN "
    f"(SELECT id FROM runs WHERE finished_at IS NOT NULL AND expired_at IS NULL AND delete_rows_at IS NULL "
    f"AND export_retry_at IS NULL LIMIT {EXPIRED})",
    "UPDATE stored_files SET delete_after = now() - interval '1 minute' WHERE key IN "
    f"(SELECT key FROM stored_files LIMIT {LET_GO})",
)


def finished_runs(database: Database, runs: int) -> None:
    """Fill the tables; nothing analyses them."""
    stop_autovacuum(database)
    accounts = [account(database).account_id for _ in range(ACCOUNTS)]
    with database.engine.begin() as connection:
        # The rows are right; checking each reference would take longer than all the rest.
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(RUNS), {"runs": runs, "unexported": UNEXPORTED})
        for statement in (STAGES, CHUNKS, EVENTS, FILES, *REMEMBERED.split(";")[:-1]):
            connection.execute(text(statement))
    for owner in accounts:
        pending_run(database, account_id=owner)
        started_run(database)
    with database.engine.begin() as connection:
        for statement in DUE:
            connection.execute(text(statement))
