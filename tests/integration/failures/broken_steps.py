"""Ways to make one step of a run fail: Postgres refuses a write, or can't read a contact.

The same happens with a value that no column accepts, a constraint of a newer version, or a right that was revoked.
"""

from dataclasses import dataclass, replace

from sqlalchemy import text

from models.database import Database
from models.postgres_errors import QUERY_CANCELED
from models.run_chunk import COMPILE
from tests.factories import LOOKUP

COLUMNS = "run_id, position, input_row, first_name, last_name, full_name, company, domain, email, extra, erased"


@dataclass(frozen=True)
class BrokenStep:
    """The statements that break a step and repair it, and the message in between."""

    broken: tuple[str, ...]
    repaired: tuple[str, ...]
    message: str
    stage: str = LOOKUP
    fault: str = "database error 22003"

    def break_in(self, database: Database) -> None:
        _execute(database, self.broken)

    def repair_in(self, database: Database) -> None:
        _execute(database, self.repaired)


def refused(on: str, table: str, when: str, message: str, stage: str = LOOKUP, sqlstate: str = "22003") -> BrokenStep:
    """Refuse writes whose new row matches a condition. The error contains a name, as a DETAIL may."""
    function = (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'not given.family@alpha.test' USING ERRCODE = '{sqlstate}'; END $$"
    )
    trigger = f"CREATE TRIGGER refuse BEFORE {on} ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()"
    repaired = (f"DROP TRIGGER refuse ON {table}", "DROP FUNCTION refuse()")
    return BrokenStep((function, trigger), repaired, message, stage, f"database error {sqlstate}")


def unreadable(column: str, when: str, message: str, stage: str = LOOKUP) -> BrokenStep:
    """Make a column unreadable for contacts that match a condition, by a view in place of the table."""
    kind = "json" if column == "extra" else "text"
    read = (
        f"CASE WHEN {when} THEN CAST(CAST(1 / (position - position) AS text) AS {kind}) ELSE {column} END AS {column}"
    )
    view = f"CREATE VIEW contacts AS SELECT {COLUMNS.replace(column, read)} FROM readable"
    repaired = ("DROP VIEW contacts", "ALTER TABLE readable RENAME TO contacts")
    return BrokenStep(
        ("ALTER TABLE contacts RENAME TO readable", view), repaired, message, stage, "database error 22012"
    )


UNREADABLE_LIST = BrokenStep(
    (
        "CREATE FUNCTION refuse() RETURNS boolean STABLE LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'grace@alpha.test' USING ERRCODE = '{QUERY_CANCELED}'; END $$",
        "ALTER TABLE suppressions RENAME TO readable",
        "CREATE VIEW suppressions AS SELECT * FROM readable WHERE refuse()",
    ),
    ("DROP VIEW suppressions", "ALTER TABLE readable RENAME TO suppressions", "DROP FUNCTION refuse()"),
    "failed {} while its contacts were worked",
    fault="database error 57014",
)
"""The suppression list times out at every try."""

_LOOKING_UP = f"NEW.stage = '{LOOKUP}'"
BROKEN_STEPS = {
    "begin": refused(
        "UPDATE", "runs", "NEW.status = 'running' AND OLD.status = 'pending'", "failed {} while it was begun"
    ),
    "plan": refused("INSERT", "run_chunks", _LOOKING_UP, "failed {} while its contacts were divided into parts"),
    "lease": refused(
        "UPDATE",
        "run_chunks",
        f"NEW.status = 'leased' AND {_LOOKING_UP}",
        "failed {} while a part was handed to a worker",
    ),
    "load": unreadable("company", "true", "failed {} while its contacts were loaded"),
    "record": refused("INSERT", "outcomes", _LOOKING_UP, "failed {} while its results were recorded"),
    "finish": refused(
        "UPDATE", "run_chunks", f"NEW.status = 'done' AND {_LOOKING_UP}", "failed {} while it was finished"
    ),
    "advance": refused(
        "UPDATE", "run_stages", f"NEW.status = 'completed' AND {_LOOKING_UP}", "failed {} while the stage was completed"
    ),
    "write exports": unreadable("extra", "true", "failed {} while the export files were written", COMPILE),
    "complete": refused("INSERT", "artifacts", "true", "failed {} while the results were compiled", COMPILE),
}

TIMED_OUT_STEPS = {
    name: replace(
        step, broken=tuple(each.replace("22003", QUERY_CANCELED) for each in step.broken), fault="database error 57014"
    )
    for name, step in BROKEN_STEPS.items()
    if step.fault == "database error 22003"
}
"""The same steps, canceled each time as by `statement_timeout`."""


def _execute(database: Database, statements: tuple[str, ...]) -> None:
    with database.transaction() as session:
        for statement in statements:
            session.execute(text(statement))
