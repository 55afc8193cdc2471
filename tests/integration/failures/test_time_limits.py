"""If a stage takes too long, the sweeper fails its run and pays back what was not delivered."""

from sqlalchemy import text

from models.database import Database
from tests.integration.conftest import Client, Population

START_STAGE_EARLIER = text("""
UPDATE run_stages SET started_at = now() - interval '25 hours' WHERE run_id = :id AND status = 'running'
""")


def test_a_run_whose_stage_takes_too_long_is_failed_and_paid_back(
    client: Client, population: Population, stack_database: Database
) -> None:
    run_id = client.create(population.crowd)
    client.states(run_id, until=lambda state: state["progress"]["percent"] >= 5)

    with stack_database.transaction() as session:
        session.execute(START_STAGE_EARLIER, {"id": run_id})

    state = client.finished(run_id)
    error = state["progress"]["error"]
    assert (state["status"], error["code"]) == ("failed", "stage_time_limit")
    assert state["stage_status"][error["stage"]] == "failed"
    assert f"The stage {error['stage']} took longer than 24 hours. Retry the run" in state["progress"]["message"]
    counts, pricing = state["preview"]["delivered_counts"], state["preview"]["pricing"]
    assert pricing["net_credits"] == 4 * counts["delivered_contacts"] < pricing["charged_credits"]
