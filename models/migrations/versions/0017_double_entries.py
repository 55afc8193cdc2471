"""Each entry of the ledger says where its credits come from and where they go. No balance changes.

Processes of the release before go on writing `credits` alone: a trigger posts the other side of their entries. The next
release may drop it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

CHECKS = {
    "balanced": "credits + held + revenue + issued = 0",
    "held": "CASE kind WHEN 'charge' THEN held >= 0 WHEN 'rebate' THEN held <= 0 ELSE held = 0 END",
    "earned": "kind = 'rebate' OR (revenue = 0 AND provider_cost = 0)",
    "issued": "kind = 'grant' OR issued = 0",
}
COLUMNS = ("provider_debt", "provider_cost", "issued", "revenue", "held")

# Rebates last: they settle what the charge of their run holds.
POST_GRANTS = "UPDATE credit_ledger SET issued = -credits WHERE kind = 'grant'"
POST_CHARGES = "UPDATE credit_ledger SET held = -credits WHERE kind = 'charge'"
POST_REBATES = """
UPDATE credit_ledger r SET
  held = -settled.price, revenue = settled.price - r.credits, provider_cost = settled.provider_cost
FROM (
  SELECT ended.id, coalesce(charged.held, 0) AS price, coalesce(spent.cost, 0) AS provider_cost
  FROM credit_ledger ended
  LEFT JOIN credit_ledger charged ON charged.run_id = ended.run_id AND charged.kind = 'charge'
  LEFT JOIN (SELECT run_id, sum(cost) AS cost FROM provider_spending GROUP BY run_id) spent
    ON spent.run_id = ended.run_id
  WHERE ended.kind = 'rebate'
) settled
WHERE r.id = settled.id
"""

# It runs before a conflict with an earlier entry is found, so it changes nothing but the new row.
POST = """
CREATE FUNCTION post_other_side() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.held := CASE NEW.kind WHEN 'charge' THEN -NEW.credits ELSE 0 END;
  IF NEW.kind = 'grant' THEN
    NEW.issued := -NEW.credits;
  ELSIF NEW.kind = 'rebate' THEN
    NEW.held := -coalesce(
      (SELECT c.held FROM credit_ledger c WHERE c.run_id = NEW.run_id AND c.kind = 'charge'), 0);
    NEW.revenue := -NEW.held - NEW.credits;
    NEW.provider_cost := coalesce((SELECT sum(s.cost) FROM provider_spending s WHERE s.run_id = NEW.run_id), 0);
  END IF;
  RETURN NEW;
END
$$
"""
TRIGGER = """
CREATE TRIGGER post_other_side BEFORE INSERT ON credit_ledger
FOR EACH ROW WHEN (NEW.held IS NULL) EXECUTE FUNCTION post_other_side()
"""


def upgrade() -> None:
    for book in ("held", "revenue", "issued"):
        op.add_column("credit_ledger", sa.Column(book, sa.BigInteger(), server_default="0", nullable=False))
    cost = sa.Numeric(16, 4)
    op.add_column("credit_ledger", sa.Column("provider_cost", cost, server_default="0", nullable=False))
    for statement in (POST_GRANTS, POST_CHARGES, POST_REBATES):
        op.execute(statement)
    debt = sa.Column("provider_debt", cost, sa.Computed("-provider_cost", persisted=True), nullable=False)
    op.add_column("credit_ledger", debt)
    op.alter_column("credit_ledger", "held", server_default=None)
    for name, condition in CHECKS.items():
        op.create_check_constraint(op.f(f"ck_credit_ledger_{name}"), "credit_ledger", condition)
    op.create_index("ix_credit_ledger_account_id_id", "credit_ledger", ["account_id", "id"])
    op.drop_index("ix_credit_ledger_account_id", "credit_ledger")
    op.execute(POST)
    op.execute(TRIGGER)


def downgrade() -> None:
    op.execute("DROP TRIGGER post_other_side ON credit_ledger")
    op.execute("DROP FUNCTION post_other_side")
    op.create_index("ix_credit_ledger_account_id", "credit_ledger", ["account_id"])
    op.drop_index("ix_credit_ledger_account_id_id", "credit_ledger")
    for name in CHECKS:
        op.drop_constraint(op.f(f"ck_credit_ledger_{name}"), "credit_ledger", type_="check")
    for column in COLUMNS:
        op.drop_column("credit_ledger", column)
