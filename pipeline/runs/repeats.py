"""Finds the contacts that repeat a person, in a run whose contacts were not compared when it was created."""

from typing import Any

from sqlalchemy import text, update
from sqlalchemy.orm import Session

from models.database import allow_time_for, changed_rows
from models.run import Run
from pipeline.lookup.names.same_person import same_contact

CONTACTS = text("""
SELECT position, first_name, last_name, full_name, company, domain, email FROM contacts
WHERE run_id = :run_id ORDER BY input_row
""")
AT_ONCE = 1_000


def note_repeats(session: Session, run: Run) -> None:
    """Note the positions of contacts that repeat a person who was sent before, as `pipeline.runs.create` does."""
    allow_time_for(session, run.contact_count)
    by_address = run.preset != "full_pipeline"
    known: set[str] = set()
    repeats: list[int] = []
    rows = session.execute(CONTACTS, {"run_id": run.id}, execution_options={"yield_per": AT_ONCE})
    for row in rows.mappings():
        person = same_contact(_fields(row), by_address=by_address)
        if person in known:
            repeats.append(row["position"])
        known.add(person)
    if repeats:
        changed_rows(session, update(Run).where(Run.id == run.id).values(repeats=sorted(repeats)))


def _fields(row: Any) -> dict[str, str]:
    return {name: value or "" for name, value in row.items() if name != "position"}
