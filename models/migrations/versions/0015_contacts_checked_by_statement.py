"""That an outcome or a deferral has its contact is checked once for each statement, not for each row.

A foreign key checks row by row, with a plan that each session makes when the tables are nearly empty and keeps: then it
reads all contacts of a run for each outcome, until something analyses the tables. These triggers plan anew each time,
which costs nothing beside the hundreds of rows of a statement (docs/decisions/0032-contacts-checked-by-statement.md).
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLES = ("outcomes", "deferrals")

# Whoever deletes contacts waits for those who add to them, and the other way around: both lock the runs' rows. The look
# at the contacts comes after that, in a statement of its own, and so sees what they have committed.
REQUIRE = """
CREATE FUNCTION require_contacts() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  missing boolean;
BEGIN
  EXECUTE 'SELECT FROM runs WHERE id IN (SELECT run_id FROM added) ORDER BY id FOR KEY SHARE';
  EXECUTE 'SELECT EXISTS (SELECT FROM added a WHERE (
    SELECT c.position FROM contacts c WHERE c.run_id = a.run_id AND c.position = a.position) IS NULL)' INTO missing;
  IF missing THEN
    RAISE foreign_key_violation USING TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME,
      MESSAGE = format('a row of "%s" is about a contact that does not exist', TG_TABLE_NAME);
  END IF;
  RETURN NULL;
END
$$
"""
# The bounds lead Postgres to the contacts' own rows while it has no statistics of the tables.
DELETE = """
CREATE FUNCTION delete_what_contacts_have() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  name text;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    TRUNCATE outcomes, deferrals;
    RETURN NULL;
  END IF;
  EXECUTE 'SELECT FROM runs WHERE id IN (SELECT run_id FROM gone) ORDER BY id FOR UPDATE';
  FOREACH name IN ARRAY ARRAY['outcomes', 'deferrals'] LOOP
    EXECUTE format('DELETE FROM %I WHERE run_id = ANY(ARRAY(SELECT DISTINCT run_id FROM gone))
      AND position BETWEEN (SELECT min(position) FROM gone) AND (SELECT max(position) FROM gone)
      AND (run_id, position) IN (SELECT run_id, position FROM gone)', name);
  END LOOP;
  RETURN NULL;
END
$$
"""
REFUSE = """
CREATE FUNCTION refuse_another_contact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE foreign_key_violation USING TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME,
    MESSAGE = format('the run and the position of a row of "%s" never change', TG_TABLE_NAME);
END
$$
"""


def upgrade() -> None:
    for function in (REQUIRE, DELETE, REFUSE):
        op.execute(function)
    for table in TABLES:
        op.drop_constraint(op.f(f"fk_{table}_run_id_position"), table, type_="foreignkey")
        op.execute(
            f"CREATE TRIGGER contacts_exist AFTER INSERT ON {table} REFERENCING NEW TABLE AS added "
            "FOR EACH STATEMENT EXECUTE FUNCTION require_contacts()"
        )
    op.execute(
        "CREATE TRIGGER delete_with_contacts AFTER DELETE ON contacts REFERENCING OLD TABLE AS gone "
        "FOR EACH STATEMENT EXECUTE FUNCTION delete_what_contacts_have()"
    )
    op.execute(
        "CREATE TRIGGER truncate_with_contacts AFTER TRUNCATE ON contacts "
        "FOR EACH STATEMENT EXECUTE FUNCTION delete_what_contacts_have()"
    )
    for table in ("contacts", *TABLES):
        op.execute(
            f"CREATE TRIGGER same_contact BEFORE UPDATE OF run_id, position ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_another_contact()"
        )


def downgrade() -> None:
    for table in ("contacts", *TABLES):
        op.execute(f"DROP TRIGGER same_contact ON {table}")
    for trigger in ("delete_with_contacts", "truncate_with_contacts"):
        op.execute(f"DROP TRIGGER {trigger} ON contacts")
    for table in TABLES:
        op.execute(f"DROP TRIGGER contacts_exist ON {table}")
        op.create_foreign_key(
            op.f(f"fk_{table}_run_id_position"),
            table,
            "contacts",
            ["run_id", "position"],
            ["run_id", "position"],
            ondelete="CASCADE",
        )
    for function in ("require_contacts", "delete_what_contacts_have", "refuse_another_contact"):
        op.execute(f"DROP FUNCTION {function}()")
