"""What paid questions cost, summed where it changes."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COUNT = """
CREATE FUNCTION count_provider_spending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    UPDATE provider_spending SET cost = cost - OLD.cost
    WHERE run_id = OLD.run_id AND day = (OLD.asked_at AT TIME ZONE 'UTC')::date;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO provider_spending AS s (run_id, day, account_id, cost)
    VALUES (NEW.run_id, (NEW.asked_at AT TIME ZONE 'UTC')::date, NEW.account_id, NEW.cost)
    ON CONFLICT (run_id, day) DO UPDATE SET cost = s.cost + excluded.cost;
  END IF;
  RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "provider_spending",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("cost", sa.Numeric(16, 4), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_provider_spending_account_id")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_provider_spending_run_id")),
        sa.PrimaryKeyConstraint("run_id", "day", name=op.f("pk_provider_spending")),
    )
    op.create_index("ix_provider_spending_account_id_day", "provider_spending", ["account_id", "day"])
    op.execute(COUNT)
    op.execute(
        "CREATE TRIGGER count_spending AFTER INSERT OR UPDATE OR DELETE ON provider_answers "
        "FOR EACH ROW EXECUTE FUNCTION count_provider_spending()"
    )
    op.execute(
        "INSERT INTO provider_spending (run_id, day, account_id, cost) "
        "SELECT run_id, (asked_at AT TIME ZONE 'UTC')::date, account_id, sum(cost) FROM provider_answers GROUP BY 1, 2, 3"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER count_spending ON provider_answers")
    op.execute("DROP FUNCTION count_provider_spending()")
    op.drop_table("provider_spending")
