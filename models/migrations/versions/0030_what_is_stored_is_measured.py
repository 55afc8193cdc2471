"""A run that is made in SQL stores nothing of a contact that was not measured.

Bounds are checked on `jsonb`, which keeps the last of several values with one name and no white space; what is stored is
the caller's own `json`. So a name that is there twice, at any depth, is refused, and so is a contact whose text is too
long.
"""

from importlib import import_module

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

CREATE_RUN: str = import_module("models.migrations.versions.0028_runs_made_in_sql").CREATE_RUN
"""The function's text has one home; this is what changes in it."""
BEFORE = """
        SELECT e.number, growth_contact_problem(e.contact, preset_rules->'needs', rules->'bounds') AS why
        FROM jsonb_array_elements(plan->'input_assets'->'contacts') WITH ORDINALITY AS e(contact, number) OFFSET 0
"""
AFTER = """
        SELECT e.number, coalesce(
          growth_text_problem(CAST(e.given AS text), CAST(e.contact AS text), rules->'bounds'),
          growth_contact_problem(e.contact, preset_rules->'needs', rules->'bounds')) AS why
        FROM ROWS FROM (
          json_array_elements(goal_plan->'input_assets'->'contacts'),
          jsonb_array_elements(plan->'input_assets'->'contacts')
        ) WITH ORDINALITY AS e(given, contact, number) OFFSET 0
"""

# Without its texts, a colon in JSON stands behind a name: `jsonb` has fewer of them if it left any out.
TEXT_PROBLEM = r"""
CREATE FUNCTION growth_text_problem(given text, measured text, bounds jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  beside CONSTANT text := '"(?:[^"\\]|\\.)*"|[^":]+';
BEGIN
  IF length(given) > CAST(bounds->>'contact_chars' AS int) THEN
    RETURN format('its JSON has more than %s characters: send less', bounds->>'contact_chars');
  END IF;
  IF length(regexp_replace(given, beside, '', 'g')) <> length(regexp_replace(measured, beside, '', 'g')) THEN
    RETURN 'a name is there twice: send each once';
  END IF;
  RETURN NULL;
END
$$
"""


def upgrade() -> None:
    if BEFORE not in CREATE_RUN:
        raise LookupError("0028 has another text than the one that this migration changes")
    _execute(TEXT_PROBLEM)
    _replace(CREATE_RUN.replace(BEFORE, AFTER))


def downgrade() -> None:
    _replace(CREATE_RUN)
    op.execute("DROP FUNCTION growth_text_problem(text, text, jsonb)")


def _replace(function: str) -> None:
    """Those who may call it still may."""
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    _execute(function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION").format(schema=schema))


def _execute(statement: str) -> None:
    # Percent signs and colons are the function's own.
    op.get_bind().exec_driver_sql(statement, execution_options={"no_parameters": True})
