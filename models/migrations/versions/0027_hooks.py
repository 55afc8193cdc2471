"""Hooks, and the outbox of their messages."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

EVENTS = "'run.completed', 'run.failed', 'run.cancelled', 'run.progress', 'contact.finished'"
STATES = "'pending', 'delivered', 'dead', 'replayed', 'skipped'"


def upgrade() -> None:
    op.create_table(
        "hooks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("events", postgresql.JSONB(), nullable=False),
        sa.Column("every_run", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("previous_secret", sa.LargeBinary(), nullable=True),
        sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_hooks_not_negative")),
        sa.CheckConstraint("disabled_reason IN ('gone', 'failing')", name=op.f("ck_hooks_disabled_reason")),
        sa.CheckConstraint("length(secret) BETWEEN 24 AND 64", name=op.f("ck_hooks_secret")),
        sa.CheckConstraint(
            "(previous_secret IS NULL) = (previous_until IS NULL)", name=op.f("ck_hooks_previous_secret")
        ),
        sa.CheckConstraint("(failures = 0) = (failing_since IS NULL)", name=op.f("ck_hooks_failing_since")),
        sa.CheckConstraint("disabled_reason IS NULL OR NOT enabled", name=op.f("ck_hooks_disabled")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_hooks_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hooks")),
    )
    op.create_index("ix_hooks_account_id", "hooks", ["account_id"])
    op.create_table(
        "hook_streams",
        sa.Column("hook_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("done_number", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("progress_number", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("progress_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "last_number >= 0 AND done_number >= 0 AND lease >= 0 AND progress_number >= 0",
            name=op.f("ck_hook_streams_not_negative"),
        ),
        sa.CheckConstraint("done_number <= last_number", name=op.f("ck_hook_streams_numbers")),
        sa.CheckConstraint("(due_at IS NULL) = (done_number = last_number)", name=op.f("ck_hook_streams_due_at")),
        sa.ForeignKeyConstraint(["hook_id"], ["hooks.id"], name=op.f("fk_hook_streams_hook_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_hook_streams_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hook_id", "run_id", name=op.f("pk_hook_streams")),
    )
    op.create_index(
        "ix_hook_streams_due", "hook_streams", ["hook_id", "due_at"], postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index("ix_hook_streams_run_id", "hook_streams", ["run_id"])
    op.create_table(
        "hook_messages",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("hook_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("replay_of", sa.Uuid(), nullable=True),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("positions", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempt_log", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(f"event IN ({EVENTS})", name=op.f("ck_hook_messages_event")),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f("ck_hook_messages_state")),
        sa.CheckConstraint("number >= 0 AND attempts >= 0", name=op.f("ck_hook_messages_not_negative")),
        sa.CheckConstraint("(state = 'pending') = (finished_at IS NULL)", name=op.f("ck_hook_messages_finished_at")),
        sa.ForeignKeyConstraint(["hook_id"], ["hooks.id"], name=op.f("fk_hook_messages_hook_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hook_messages")),
    )
    op.create_index("uq_hook_messages_number", "hook_messages", ["hook_id", "run_id", "number"], unique=True)
    op.create_index("ix_hook_messages_hook_id_created_at", "hook_messages", ["hook_id", "created_at", "id"])
    op.create_index("ix_hook_messages_created_at", "hook_messages", ["created_at"])
    op.add_column("runs", sa.Column("announces_contacts", sa.Boolean(), server_default="false", nullable=False))


def downgrade() -> None:
    op.drop_column("runs", "announces_contacts")
    for table in ("hook_messages", "hook_streams", "hooks"):
        op.drop_table(table)
