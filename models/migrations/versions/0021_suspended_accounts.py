"""An operator may suspend an account."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

NAME = "ck_accounts_subscription_status"


def upgrade() -> None:
    _allow("'active', 'past_due', 'ended', 'suspended'")


def downgrade() -> None:
    op.execute("UPDATE accounts SET subscription_status = 'past_due' WHERE subscription_status = 'suspended'")
    _allow("'active', 'past_due', 'ended'")


def _allow(words: str) -> None:
    op.drop_constraint(op.f(NAME), "accounts", type_="check")
    op.create_check_constraint(op.f(NAME), "accounts", f"subscription_status IN ({words})")
