"""A checkpoint changes rows without touching an index: Postgres calls that a HOT update."""

from collections.abc import Sequence

from sqlalchemy import text

from models.database import Database
from pipeline.runs import chunks
from pipeline.runs.chunks import Lease
from tests.factories import LEASE_S, leased_chunk, not_found, started_run

RUNS, CHECKPOINTS = 40, 3
"""As many runs as fill several pages of the table."""

CHANGES = """
SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname IN ('runs', 'run_chunks')
"""


def test_no_checkpoint_touches_an_index_of_runs_or_chunks(new_database: Database) -> None:
    leases = [leased_chunk(new_database, started_run(new_database, count=10, chunk_size=5)) for _ in range(RUNS)]
    before = changes(new_database)

    for position in range(CHECKPOINTS):
        checkpoint(new_database, leases, position % 5)

    for table, (updates, hot_updates) in changes(new_database).items():
        assert updates - before[table][0] >= RUNS * CHECKPOINTS
        assert hot_updates - before[table][1] == updates - before[table][0], table


def checkpoint(database: Database, leases: Sequence[Lease], position: int) -> None:
    for lease in leases:
        with database.transaction() as session:
            chunks.record(session, lease, [not_found(position)], LEASE_S)


def changes(database: Database) -> dict[str, tuple[int, int]]:
    """How often rows of each table were updated, and how often without touching an index."""
    with database.transaction() as session:
        session.execute(text("SELECT pg_stat_force_next_flush()"))
    with database.transaction() as session:
        return {table: (updates, hot) for table, updates, hot in session.execute(text(CHANGES))}
