"""Initial schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "accounts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("subscription_status", sa.Text(), nullable=False),
        sa.Column("credit_balance", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "subscription_status IN ('active', 'past_due', 'ended')", name=op.f("ck_accounts_subscription_status")
        ),
        sa.CheckConstraint("credit_balance >= 0", name=op.f("ck_accounts_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
    )
    op.create_table(
        "domain_patterns",
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("confirmed", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("confirmed > 0", name=op.f("ck_domain_patterns_confirmed")),
        sa.PrimaryKeyConstraint("domain", "pattern", name=op.f("pk_domain_patterns")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("length(key_hash) = 32", name=op.f("ck_api_keys_key_hash_is_sha256")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_api_keys_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    op.create_index(op.f("ix_api_keys_account_id"), "api_keys", ["account_id"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("pipeline_id", sa.Text(), nullable=False),
        sa.Column("preset", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("contact_count", sa.Integer(), nullable=False),
        sa.Column("extra_columns", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("required_fields", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("preview_rows", sa.Integer(), nullable=False),
        sa.Column("export_formats", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_digest", sa.LargeBinary(), nullable=True),
        sa.Column("charge_per_contact", sa.Integer(), nullable=False),
        sa.Column("rebate_per_unresolved", sa.Integer(), nullable=False),
        sa.Column("rebate_per_unverified", sa.Integer(), nullable=False),
        sa.Column("preview", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("data_source_mix", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("gap_report", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_stage", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("resend_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("resends", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("(status = 'failed') = (error_code IS NOT NULL)", name=op.f("ck_runs_error_code")),
        sa.CheckConstraint(
            "(status IN ('completed', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name=op.f("ck_runs_finished_at"),
        ),
        sa.CheckConstraint("preset IN ('full_pipeline', 'verify_existing_emails')", name=op.f("ck_runs_preset")),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'completed', 'failed', 'cancelled')", name=op.f("ck_runs_status")
        ),
        sa.CheckConstraint(
            "status NOT IN ('running', 'completed') OR started_at IS NOT NULL", name=op.f("ck_runs_started_at")
        ),
        sa.CheckConstraint("(error_code IS NULL) = (error_message IS NULL)", name=op.f("ck_runs_error_message")),
        sa.CheckConstraint(
            "charge_per_contact >= 0 AND rebate_per_unresolved >= 0 AND rebate_per_unverified >= 0 AND version >= 0 AND resends >= 0",
            name=op.f("ck_runs_not_negative"),
        ),
        sa.CheckConstraint("contact_count > 0", name=op.f("ck_runs_has_contacts")),
        sa.CheckConstraint("preview_rows BETWEEN 0 AND 100", name=op.f("ck_runs_preview_rows")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_runs_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index("ix_runs_account_id_created_at", "runs", ["account_id", "created_at"], unique=False)
    op.create_index(
        "ix_runs_resend_at",
        "runs",
        ["resend_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('pending', 'running')"),
    )
    op.create_index("uq_runs_idempotency_key", "runs", ["account_id", "idempotency_key"], unique=True)
    op.create_table(
        "artifacts",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("asset_id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("format", sa.Text(), nullable=True),
        sa.Column("mime_type", sa.Text(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("storage_key", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "num_nonnulls(format, mime_type, bytes, sha256, storage_key) = CASE kind WHEN 'export' THEN 5 ELSE 0 END",
            name=op.f("ck_artifacts_export_is_a_file"),
        ),
        sa.CheckConstraint("rows >= 0 AND bytes >= 0", name=op.f("ck_artifacts_not_negative")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_artifacts_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "asset_id", name=op.f("pk_artifacts")),
    )
    op.create_table(
        "contacts",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("input_row", sa.Integer(), nullable=False),
        sa.Column("first_name", sa.Text(), nullable=False),
        sa.Column("last_name", sa.Text(), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("company", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.CheckConstraint("position >= 0 AND input_row >= 0", name=op.f("ck_contacts_not_negative")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_contacts_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "position", name=op.f("pk_contacts")),
    )
    op.create_index("uq_contacts_input_row", "contacts", ["run_id", "input_row"], unique=True)
    op.create_table(
        "credit_ledger",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(kind = 'grant') = (run_id IS NULL)", name=op.f("ck_credit_ledger_run")),
        sa.CheckConstraint(
            "CASE kind WHEN 'charge' THEN credits <= 0 ELSE credits >= 0 END", name=op.f("ck_credit_ledger_sign")
        ),
        sa.CheckConstraint("kind IN ('grant', 'charge', 'rebate')", name=op.f("ck_credit_ledger_kind")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_credit_ledger_account_id")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_credit_ledger_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_ledger")),
    )
    op.create_index(op.f("ix_credit_ledger_account_id"), "credit_ledger", ["account_id"], unique=False)
    op.create_index("uq_credit_ledger_run_id_kind", "credit_ledger", ["run_id", "kind"], unique=True)
    op.create_table(
        "run_chunks",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("first_position", sa.Integer(), nullable=False),
        sa.Column("last_position", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(status = 'leased') <= (worker IS NOT NULL)", name=op.f("ck_run_chunks_worker")),
        sa.CheckConstraint("(status = 'leased') = (lease_expires_at IS NOT NULL)", name=op.f("ck_run_chunks_lease")),
        sa.CheckConstraint("status IN ('open', 'leased', 'done')", name=op.f("ck_run_chunks_status")),
        sa.CheckConstraint("last_position >= first_position", name=op.f("ck_run_chunks_positions")),
        sa.CheckConstraint(
            "number >= 0 AND token >= 0 AND attempts >= 0 AND first_position >= 0",
            name=op.f("ck_run_chunks_not_negative"),
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_chunks_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "stage", "number", name=op.f("pk_run_chunks")),
    )
    op.create_index(
        "ix_run_chunks_unfinished",
        "run_chunks",
        ["run_id", "stage", "number"],
        unique=False,
        postgresql_where=sa.text("status <> 'done'"),
    )
    op.create_table(
        "run_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_events_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_events")),
    )
    op.create_index("ix_run_events_run_id_id", "run_events", ["run_id", "id"], unique=False)
    op.create_table(
        "run_stages",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(status = 'pending') = (started_at IS NULL)", name=op.f("ck_run_stages_started_at")),
        sa.CheckConstraint(
            "status <> 'completed' OR done = total", name=op.f("ck_run_stages_completed_means_all_done")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'completed', 'failed', 'cancelled')", name=op.f("ck_run_stages_status")
        ),
        sa.CheckConstraint("done <= total", name=op.f("ck_run_stages_done_within_total")),
        sa.CheckConstraint("ordinal >= 0 AND done >= 0", name=op.f("ck_run_stages_not_negative")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_stages_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "stage", name=op.f("pk_run_stages")),
        sa.UniqueConstraint("run_id", "ordinal", name=op.f("uq_run_stages_run_id_ordinal")),
    )
    op.create_table(
        "outcomes",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('found', 'not_found', 'valid', 'risky', 'invalid', 'unknown', 'skipped')",
            name=op.f("ck_outcomes_status"),
        ),
        sa.CheckConstraint(
            "status NOT IN ('found', 'valid', 'risky') OR email IS NOT NULL", name=op.f("ck_outcomes_email")
        ),
        sa.CheckConstraint("score BETWEEN 0 AND 100", name=op.f("ck_outcomes_score")),
        sa.ForeignKeyConstraint(
            ["run_id", "position"],
            ["contacts.run_id", "contacts.position"],
            name=op.f("fk_outcomes_run_id_position"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "stage", "position", name=op.f("pk_outcomes")),
    )


def downgrade() -> None:

    op.drop_table("outcomes")
    op.drop_table("run_stages")
    op.drop_index("ix_run_events_run_id_id", table_name="run_events")
    op.drop_table("run_events")
    op.drop_index("ix_run_chunks_unfinished", table_name="run_chunks", postgresql_where=sa.text("status <> 'done'"))
    op.drop_table("run_chunks")
    op.drop_index("uq_credit_ledger_run_id_kind", table_name="credit_ledger")
    op.drop_index(op.f("ix_credit_ledger_account_id"), table_name="credit_ledger")
    op.drop_table("credit_ledger")
    op.drop_index("uq_contacts_input_row", table_name="contacts")
    op.drop_table("contacts")
    op.drop_table("artifacts")
    op.drop_index("uq_runs_idempotency_key", table_name="runs")
    op.drop_index("ix_runs_resend_at", table_name="runs", postgresql_where=sa.text("status IN ('pending', 'running')"))
    op.drop_index("ix_runs_account_id_created_at", table_name="runs")
    op.drop_table("runs")
    op.drop_index(op.f("ix_api_keys_account_id"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_table("domain_patterns")
    op.drop_table("accounts")
