"""The database itself refuses impossible rows, whoever writes them."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from models.database import Database
from tests.factories import finish_chunk, found, leased_chunk, started_run

INSERT_OUTCOME = "INSERT INTO outcomes (run_id, stage, position, status, reason, score, evidence)"

IMPOSSIBLE = {
    "a run in an unknown status": "UPDATE runs SET status = 'paused'",
    "a finished run without an end": "UPDATE runs SET status = 'completed', started_at = now(), finished_at = NULL",
    "a running run with an end": "UPDATE runs SET finished_at = now()",
    "a failed run without a reason": "UPDATE runs SET status = 'failed', finished_at = now()",
    "a run without contacts": "UPDATE runs SET contact_count = 0",
    "a stage with more done than there is": "UPDATE run_stages SET done = total + 1",
    "a stage with less than nothing done": "UPDATE run_stages SET done = -1",
    "a completed stage with work left": "UPDATE run_stages SET status = 'completed', started_at = now(), done = 0",
    "a leased chunk without an end of its lease": "UPDATE run_chunks SET status = 'leased', lease_expires_at = NULL",
    "a chunk in an unknown status": "UPDATE run_chunks SET status = 'lost'",
    "a negative balance": "UPDATE accounts SET credit_balance = -1",
    "a second charge for a run": "INSERT INTO credit_ledger (id, account_id, run_id, kind, credits)"
    " SELECT gen_random_uuid(), account_id, id, 'charge', -4 FROM runs",
    "a rebate that takes credits": "INSERT INTO credit_ledger (id, account_id, run_id, kind, credits)"
    " SELECT gen_random_uuid(), account_id, id, 'rebate', -4 FROM runs",
    "an entry whose postings do not sum to zero": "UPDATE credit_ledger SET held = held + 1",
    "a grant that earns revenue": "UPDATE credit_ledger SET issued = 0, revenue = -credits WHERE kind = 'grant'",
    "a charge that does not hold its price": "UPDATE credit_ledger SET held = 0, issued = -credits"
    " WHERE kind = 'charge'",
    "a second outcome of a contact in a stage": INSERT_OUTCOME
    + " SELECT run_id, stage, position, 'not_found', 'policy', 0, '{}' FROM outcomes LIMIT 1",
    "an outcome for a contact that is not there": INSERT_OUTCOME
    + " SELECT run_id, stage, 999, 'not_found', 'policy', 0, '{}' FROM outcomes LIMIT 1",
    "an outcome in an unknown status": "UPDATE outcomes SET status = 'maybe'",
    "a found contact without an address": "UPDATE outcomes SET email = NULL",
    "a score above 100": "UPDATE outcomes SET score = 101",
    "an export without a checksum": "INSERT INTO artifacts (run_id, asset_id, label, kind)"
    " SELECT id, 'contacts_csv', 'Contacts', 'export' FROM runs",
    "an API key that is not a hash": "INSERT INTO api_keys (id, account_id, key_hash)"
    " SELECT gen_random_uuid(), account_id, 'growth_plain' FROM runs",
}


@pytest.mark.parametrize("statement", list(IMPOSSIBLE.values()), ids=list(IMPOSSIBLE))
def test_the_database_refuses(database: Database, statement: str) -> None:
    run_id = started_run(database, count=3, chunk_size=2)
    finish_chunk(database, leased_chunk(database, run_id), [found(0), found(1)])

    with pytest.raises(IntegrityError), database.transaction() as session:
        session.execute(text(statement))
