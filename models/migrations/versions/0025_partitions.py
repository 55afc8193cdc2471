"""Contacts, outcomes, deferrals and the timeline are partitioned by the week in which their run was created.

No row is copied: the tables become partitions, for all that is before the first week. Attaching one reads it once, under
a lock: two seconds for a million contacts, their outcomes and a million events, in which everybody else waits. A CHECK
that says already what is in a table saves that: docs/how-to/run-in-production.md tells how to add it beforehand.

The code of the release before works on the partitioned tables as on the others.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

WEEK = timedelta(weeks=1)
WEEKS_AHEAD = 8
BEFORE_PARTITIONS = "before_partitions"
"""The CHECK that an operator may have added, so that attaching need not read the table."""

WITHOUT_KEYS = "INCLUDING ALL EXCLUDING INDEXES EXCLUDING IDENTITY"
INDEXES = "SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = CAST(:name AS regclass)"
OWN_TRIGGERS = "SELECT tgname FROM pg_trigger WHERE tgrelid = CAST(:name AS regclass) AND NOT tgisinternal"
PRIVILEGES = """
SELECT format('%s ON %I TO %s%s', privilege_type, CAST(:to AS text),
  CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
  CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM pg_class, aclexplode(relacl) WHERE oid = CAST(:name AS regclass) AND grantee <> relowner
"""
NEXT_ID = """
SELECT coalesce(pg_sequence_last_value(seqrelid) + 1, seqstart)
FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence('run_events', 'id')::regclass
"""

KEYS = {
    "contacts": ("run_id", "position"),
    "outcomes": ("run_id", "position", "stage"),
    "deferrals": ("run_id", "position", "stage"),
    "run_events": ("run_id", "id"),
}
OF_RUNS = ("contacts", "run_events")
"""The tables with a foreign key that leads to runs."""

TRIGGERS = {
    "contacts": (
        "delete_with_contacts AFTER DELETE ON contacts REFERENCING OLD TABLE AS gone "
        "FOR EACH STATEMENT EXECUTE FUNCTION delete_what_contacts_have()",
        "truncate_with_contacts AFTER TRUNCATE ON contacts "
        "FOR EACH STATEMENT EXECUTE FUNCTION delete_what_contacts_have()",
        "same_contact BEFORE UPDATE OF run_id, position ON contacts "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_another_contact()",
    ),
    **{
        table: (
            f"contacts_exist AFTER INSERT ON {table} REFERENCING NEW TABLE AS added "
            "FOR EACH STATEMENT EXECUTE FUNCTION require_contacts()",
            f"same_contact BEFORE UPDATE OF run_id, position ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_another_contact()",
        )
        for table in ("outcomes", "deferrals")
    },
}

# As before, but for one run at a time, whose id is a parameter: so only its partition is planned, locked and read. A
# chunk's rows lie close together: if their run has a contact at each position from the first to the last, one look has
# found all of them. Otherwise each row is looked up. Both read in the order of positions, which only the primary key
# has, whatever the planner knows of the tables.
REQUIRE = """
CREATE OR REPLACE FUNCTION require_contacts() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  of_run record;
  present bigint;
  missing boolean;
BEGIN
  FOR of_run IN
    SELECT run_id AS id, CAST(min(position) AS bigint) AS first, CAST(max(position) AS bigint) AS last, count(*) AS rows
    FROM added GROUP BY run_id ORDER BY run_id
  LOOP
    EXECUTE 'SELECT FROM runs WHERE id = $1 FOR KEY SHARE' USING of_run.id;
    IF of_run.last - of_run.first < 4 * of_run.rows THEN
      EXECUTE 'SELECT count(*) FROM (
        SELECT FROM contacts WHERE run_id = $1 AND position BETWEEN $2 AND $3 ORDER BY position) AS c'
        INTO present USING of_run.id, of_run.first, of_run.last;
      CONTINUE WHEN present = of_run.last - of_run.first + 1;
    END IF;
    EXECUTE 'SELECT EXISTS (SELECT FROM added a WHERE a.run_id = $1 AND (
        SELECT c.position FROM contacts c WHERE c.run_id = $1 AND c.position >= a.position ORDER BY c.position LIMIT 1
      ) IS DISTINCT FROM a.position)' INTO missing USING of_run.id;
    IF missing THEN
      RAISE foreign_key_violation USING TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME,
        MESSAGE = format('a row of "%s" is about a contact that does not exist', TG_TABLE_NAME);
    END IF;
  END LOOP;
  RETURN NULL;
END
$$
"""
DELETE = """
CREATE OR REPLACE FUNCTION delete_what_contacts_have() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  name text;
  run uuid;
  first int;
  last int;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    TRUNCATE outcomes, deferrals;
    RETURN NULL;
  END IF;
  EXECUTE 'SELECT FROM runs WHERE id IN (SELECT run_id FROM gone) ORDER BY id FOR UPDATE';
  FOR run, first, last IN EXECUTE 'SELECT run_id, min(position), max(position) FROM gone GROUP BY run_id' LOOP
    FOREACH name IN ARRAY ARRAY['outcomes', 'deferrals'] LOOP
      EXECUTE format('DELETE FROM %I WHERE run_id = $1 AND position BETWEEN $2 AND $3
        AND position IN (SELECT position FROM gone WHERE run_id = $1)', name) USING run, first, last;
    END LOOP;
  END LOOP;
  RETURN NULL;
END
$$
"""


def upgrade() -> None:
    this_week = _monday(_scalar("SELECT now()"))
    for function in (REQUIRE, DELETE):
        op.execute(function)
    for table in KEYS:
        _partition(table, this_week)
    _add_time_of_deletion()


def downgrade() -> None:
    op.drop_index("ix_runs_unexpired", "runs")
    op.drop_column("runs", "delete_rows_at")
    op.create_index(
        "ix_runs_unexpired",
        "runs",
        ["finished_at"],
        postgresql_where=sa.text("expired_at IS NULL AND finished_at IS NOT NULL"),
    )
    for table in KEYS:
        _put_in_one_table(table)


def _add_time_of_deletion() -> None:
    op.add_column("runs", sa.Column("delete_rows_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_runs_delete_rows_at"), "runs", "delete_rows_at IS NULL OR retracted_at IS NOT NULL"
    )
    op.drop_index("ix_runs_unexpired", "runs")
    op.create_index(
        "ix_runs_unexpired",
        "runs",
        ["delete_rows_at", "finished_at"],
        postgresql_where=sa.text("expired_at IS NULL AND finished_at IS NOT NULL"),
    )


def _partition(table: str, this_week: datetime) -> None:
    before, next_id = f"{table}_before", _next_id(table)
    _set_aside(table, before)
    op.execute(f"CREATE TABLE {table} (LIKE {before} {WITHOUT_KEYS}) PARTITION BY RANGE (run_id)")
    op.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {BEFORE_PARTITIONS}")
    _add_keys(table, KEYS[table], next_id)
    _give_rights(before, table)
    op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    first_week = this_week
    if _scalar(f"SELECT EXISTS (SELECT FROM {before})"):  # noqa: S608
        first_week += WEEK
        _attach_before(table, before, _first_id(first_week))
    else:
        op.execute(f"DROP TABLE {before}")
    for n in range(WEEKS_AHEAD + 1):
        week = this_week + n * WEEK
        if week >= first_week:
            _make_week(table, week)
    for trigger in TRIGGERS.get(table, ()):
        op.execute(f"CREATE TRIGGER {trigger}")


def _attach_before(table: str, before: str, beyond: UUID) -> None:
    # Ids of clocks that were far ahead.
    op.execute(
        f"WITH moved AS (DELETE FROM {before} WHERE run_id >= '{beyond}' RETURNING *) "  # noqa: S608
        f"INSERT INTO {table}_default OVERRIDING SYSTEM VALUE SELECT * FROM moved"
    )
    if table == "run_events":
        _give_new_key(before)
    op.execute(f"ALTER TABLE {table} ATTACH PARTITION {before} FOR VALUES FROM (MINVALUE) TO ('{beyond}')")
    op.execute(f"ALTER TABLE {before} DROP CONSTRAINT IF EXISTS {BEFORE_PARTITIONS}")


def _give_new_key(events: str) -> None:
    """A key that begins with the partition's. Attaching makes it, unless an operator has made its index."""
    op.execute(f"ALTER TABLE {events} DROP CONSTRAINT {events}_pk_run_events")
    op.execute(f"DROP INDEX {events}_ix_run_events_run_id_id")
    index = f"{events}_{BEFORE_PARTITIONS}"
    if _scalar(f"SELECT to_regclass('{index}') IS NOT NULL"):
        op.execute(f"ALTER TABLE {events} ADD PRIMARY KEY USING INDEX {index}")


def _make_week(table: str, week: datetime) -> None:
    name, first, beyond = f"{table}_{week:%Y_%m_%d}", _first_id(week), _first_id(week + WEEK)
    op.execute(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{first}') TO ('{beyond}')")


def _put_in_one_table(table: str) -> None:
    aside, next_id = f"{table}_partitioned", _next_id(table)
    _set_aside(table, aside)
    op.execute(f"CREATE TABLE {table} (LIKE {aside} {WITHOUT_KEYS})")
    _add_keys(table, ("id",) if table == "run_events" else KEYS[table], next_id)
    if table == "run_events":
        op.create_index("ix_run_events_run_id_id", table, ["run_id", "id"])
    _give_rights(aside, table)
    op.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {aside}")  # noqa: S608
    op.execute(f"DROP TABLE {aside}")
    for trigger in TRIGGERS.get(table, ()):
        op.execute(f"CREATE TRIGGER {trigger}")


def _set_aside(table: str, name: str) -> None:
    """Give a table and its indexes other names, and take its triggers and its sequence away."""
    for index in _names(INDEXES, table):
        op.execute(f"ALTER INDEX {index} RENAME TO {name}_{index}")
    for trigger in _names(OWN_TRIGGERS, table):
        op.execute(f"DROP TRIGGER {trigger} ON {table}")
    if table == "run_events":
        op.execute(f"ALTER TABLE {table} ALTER id DROP IDENTITY")
    op.execute(f"ALTER TABLE {table} RENAME TO {name}")


def _add_keys(table: str, key: tuple[str, ...], next_id: int) -> None:
    op.create_primary_key(op.f(f"pk_{table}"), table, list(key))
    if table in OF_RUNS:
        op.create_foreign_key(op.f(f"fk_{table}_run_id"), table, "runs", ["run_id"], ["id"], ondelete="CASCADE")
    if table == "contacts":
        op.create_index("uq_contacts_input_row", table, ["run_id", "input_row"], unique=True)
    if table == "run_events":
        op.execute(f"ALTER TABLE {table} ALTER id ADD GENERATED ALWAYS AS IDENTITY (START {next_id})")


def _give_rights(of: str, to: str) -> None:
    """Give a table the privileges of another one. They are asked of the table alone, not of its partitions."""
    granted = sa.text(PRIVILEGES).bindparams(name=of, to=to)
    for privilege in op.get_bind().execute(granted).scalars().all():
        op.execute(f"GRANT {privilege}")


def _next_id(table: str) -> int:
    return _scalar(NEXT_ID) if table == "run_events" else 0


def _monday(time: datetime) -> datetime:
    day = time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


def _first_id(time: datetime) -> UUID:
    return UUID(int=(time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) << 80)


def _scalar(query: str) -> Any:
    return op.get_bind().execute(sa.text(query)).scalar_one()


def _names(query: str, table: str) -> list[str]:
    return list(op.get_bind().execute(sa.text(query), {"name": table}).scalars())
