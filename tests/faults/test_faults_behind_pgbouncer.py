"""The same guarantees with PgBouncer in transaction mode between the engine and Postgres."""

import pytest

from tests.faults.engine import FaultEngine
from tests.faults.injections.pgbouncer import restart_pgbouncer
from tests.faults.injections.postgres import postgres_read_only
from tests.faults.rounds import OUTAGE_SECONDS, Plan, play

pytestmark = pytest.mark.proof


def test_a_run_survives_the_death_of_its_pooler_and_then_a_postgres_that_is_read_only_for_a_while(
    pgbouncer_engine: FaultEngine,
) -> None:
    verdict = play(pgbouncer_engine, Plan({restart_pgbouncer: 15, postgres_read_only: 45}, OUTAGE_SECONDS))

    assert verdict.injected == ("restart_pgbouncer", "postgres_read_only")
    assert verdict.violations == ()
