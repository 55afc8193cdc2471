"""Chunks end with their run; who waits is counted where it changes; indexes at whose beginning a claim finds its chunk."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CHUNKS = sa.table(
    "run_chunks",
    *(sa.column(name) for name in ("run_id", "status", "lease_expires_at", "not_before")),
)
OVER = sa.text("run_id IN (SELECT id FROM runs WHERE finished_at IS NOT NULL)")
ACTIVE = sa.text("status IN ('pending', 'running')")


def upgrade() -> None:
    for table in ("run_chunks", "run_stages"):
        op.add_column(table, sa.Column("waiting", sa.Integer(), server_default="0", nullable=False))
    _replace_checks(
        "status IN ('open', 'leased', 'done', 'stopped')",
        "number >= 0 AND token >= 0 AND attempts >= 0 AND first_position >= 0 AND waiting >= 0",
        "ordinal >= 0 AND done >= 0 AND waiting >= 0",
    )
    unfinished = CHUNKS.c.status.in_(["open", "leased"])
    stopped = {"status": "stopped", "lease_expires_at": None, "not_before": None}
    op.execute(CHUNKS.update().where(unfinished, OVER).values(stopped))
    op.create_check_constraint(op.f("ck_run_chunks_waiting"), "run_chunks", "waiting = 0 OR status = 'open'")
    op.drop_index("ix_run_chunks_unfinished", table_name="run_chunks")
    op.create_index(
        "ix_run_chunks_open",
        "run_chunks",
        ["run_id", "stage", "not_before", "number"],
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index(
        "ix_run_chunks_leased",
        "run_chunks",
        ["run_id", "stage", "number"],
        postgresql_where=sa.text("status = 'leased'"),
    )
    op.create_index("ix_run_events_resent", "run_events", ["run_id", "at"], postgresql_where=sa.text("kind = 'resent'"))
    op.drop_index("ix_runs_resend_at", table_name="runs")
    op.create_index("ix_runs_active", "runs", ["id"], postgresql_where=ACTIVE)


def downgrade() -> None:
    op.drop_index("ix_runs_active", table_name="runs")
    op.create_index("ix_runs_resend_at", "runs", ["resend_at"], postgresql_where=ACTIVE)
    op.drop_index("ix_run_events_resent", table_name="run_events")
    op.drop_index("ix_run_chunks_leased", table_name="run_chunks")
    op.drop_index("ix_run_chunks_open", table_name="run_chunks")
    op.create_index(
        "ix_run_chunks_unfinished",
        "run_chunks",
        ["run_id", "stage", "number"],
        postgresql_where=sa.text("status <> 'done'"),
    )
    op.drop_constraint(op.f("ck_run_chunks_waiting"), "run_chunks", type_="check")
    op.execute(CHUNKS.update().where(CHUNKS.c.status == "stopped").values({"status": "open"}))
    _replace_checks(
        "status IN ('open', 'leased', 'done')",
        "number >= 0 AND token >= 0 AND attempts >= 0 AND first_position >= 0",
        "ordinal >= 0 AND done >= 0",
    )
    for table in ("run_chunks", "run_stages"):
        op.drop_column(table, "waiting")


def _replace_checks(chunk_status: str, chunk_numbers: str, stage_numbers: str) -> None:
    checks = (
        ("run_chunks", "status", chunk_status),
        ("run_chunks", "not_negative", chunk_numbers),
        ("run_stages", "not_negative", stage_numbers),
    )
    for table, name, condition in checks:
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)
