"""Errors in Postgres while it handles personal data: neither logs nor tasks nor process lists show any of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from cli.local.stack import Stack
from models.database import Database
from sandbox.people import Person
from tests.faults.engine import wait_until
from tests.integration.conftest import Client, Population, contacts_of

COMPANY = "Leaky Barrel Ltd"
NEVER_SHOWN = (COMPANY, "leaky.barrel@", "DETAIL", "CONTEXT", "STATEMENT", "COPY contacts, line", "[parameters:")
BREAKS = {
    "a constraint": "ALTER TABLE runs ADD CONSTRAINT leaky CHECK (idempotency_key <> 'leaky.barrel@alpha.test')",
    "COPY": f"ALTER TABLE contacts ADD CONSTRAINT leaky CHECK (company <> '{COMPANY}') NOT VALID",
}
REPAIRS = ("ALTER TABLE runs DROP CONSTRAINT IF EXISTS leaky", "ALTER TABLE contacts DROP CONSTRAINT IF EXISTS leaky")

# An outcome's row is refused while a chunk task records it, with the row in DETAIL and in CONTEXT.
REFUSE_OUTCOMES = """
CREATE FUNCTION refuse_leaky() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM contacts c WHERE c.run_id = NEW.run_id AND c.company = 'Leaky Barrel Ltd') THEN
    RAISE EXCEPTION 'refused' USING DETAIL = format('Row: %s', NEW), HINT = 'Leaky Barrel Ltd', CONSTRAINT = 'leaky';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER leaky BEFORE INSERT ON outcomes FOR EACH ROW EXECUTE FUNCTION refuse_leaky();
"""
ACCEPT_OUTCOMES = "DROP TRIGGER IF EXISTS leaky ON outcomes; DROP FUNCTION IF EXISTS refuse_leaky"


@contextmanager
def broken(database: Database, statement: str, *repairs: str) -> Iterator[None]:
    execute(database, statement)
    yield
    for each in repairs:
        execute(database, each)


def execute(database: Database, statements: str) -> None:
    with database.transaction() as session:
        session.connection().exec_driver_sql(statements)


def logs(stack: Stack) -> str:
    """The logs of the engine's processes and of the embedded Postgres."""
    files = [*stack.engine.log_dir.glob("*.log"), stack.engine.log_dir.parent / "postgres" / "log"]
    return "\n".join(path.read_text(errors="replace") for path in files)


def tasks_in_flower(stack: Stack) -> str:
    return httpx.get(f"{stack.flower_url}/api/tasks", params={"limit": "500"}, trust_env=False).text


def process_list() -> str:
    found = psutil.process_iter(["cmdline"])
    return "\n".join(" ".join(process.info["cmdline"] or ()) for process in found)


def assert_nothing_is_shown(stack: Stack) -> None:
    shown = {"logs": logs(stack), "Flower": tasks_in_flower(stack), "ps": process_list()}
    found = {(where, text) for where, output in shown.items() for text in NEVER_SHOWN if text in output}
    assert found == set()


def leaky(people: list[Person]) -> list[dict[str, str]]:
    return [{**contact, "company": COMPANY} for contact in contacts_of(people)]


@pytest.mark.parametrize("what", BREAKS)
def test_an_error_while_a_run_is_created_shows_no_personal_data(
    stack: Stack, client: Client, stack_database: Database, population: Population, what: str
) -> None:
    assets = {"contacts": leaky(list(population.hundred[:3]))}
    plan = {"pipeline_id": "email_discovery_v1", "preset": "full_pipeline", "input_assets": assets}
    with broken(stack_database, BREAKS[what], *REPAIRS):
        done = client.http.post(
            "/api/v1/growth/run",
            json={"goal_plan": plan},
            headers={"Idempotency-Key": "leaky.barrel@alpha.test"},
        )

    assert done.status_code == 500
    wait_until(lambda: "CheckViolation (23514), constraint leaky" in logs(stack), "the API's log", seconds=10)
    assert_nothing_is_shown(stack)


def test_a_task_that_fails_shows_no_personal_data(
    stack: Stack, client: Client, stack_database: Database, population: Population, tmp_path: Path
) -> None:
    with broken(stack_database, REFUSE_OUTCOMES, ACCEPT_OUTCOMES):
        run_id = client.api.create_run(leaky(list(population.hundred[:3])), "full_pipeline")
        wait_until(lambda: "P0001" in logs(stack), "a worker's log", seconds=30)
        client.http.post(f"/api/v1/growth/runs/{run_id}/cancel")

    assert_nothing_is_shown(stack)
