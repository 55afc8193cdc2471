"""Runs: one row each, and the mutex of everything that belongs to it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, BigCounter, CreatedAt, IdKey, not_negative, one_of
from models.status import RunStatus

PRESETS = ("full_pipeline", "verify_existing_emails")


class Run(Base):
    """A growth run.

    A transaction that changes anything of a run locks the run first (`models.transitions.lock_run`); tasks that record
    outcomes do it together, and lock this row last. There is one order of locks.
    `version` rises with each change that a reader could see; it guards the copy in Redis.

    `resend_at` is when the sweeper sends the run's next task again, unless the run moves before: the chain of a run
    that is active, the export task of one that has ended. Each checkpoint pushes it on, and so does each resend:
    `resends` counts those since the last checkpoint, for a pause that doubles. `parked_until` is
    set while nothing can be done for the run: all that is left of it waits for mail servers, or a step failed and its
    pause lasts. It counts instead of `resend_at` then, and the next checkpoint clears it.

    The rate card is copied when the run is created, so that a new price does not change an old run. `charged_contacts`
    are the contacts that it pays for: a retry does not pay for what the run before it delivered. Nothing is paid for
    `repeats`, the positions of contacts that repeat a person. `fresh` runs use no verdict of earlier ones. Columns that
    clients see are `json`, since `jsonb` would reorder their keys.

    A run that another program created with the function `growth_create_run` is `made_in_sql`. That function can't tell
    who repeats whom: `repeats` are found when the run starts, and are paid back when it ends.

    `quote_id` is the quote that the run used, which no other run can use. `upload_id` is the upload that its contacts
    came from; the upload may be gone before the run.

    `retracted_at` is when clients lost access to the data of a run whose retention has ended, `expired_at` when its
    contacts and results were deleted. In between they wait for the end of their partition; `delete_rows_at` is when
    they are deleted one by one if that has not come. The run's counts stay.

    `export_retry_at` is set while export files are still to be written: when they may be tried next. `exporter` is the
    worker that writes them, and then `export_retry_at` is the end of its lease. `export_attempts` counts the failed
    attempts; files that are missing with attempts and without `export_retry_at` are given up.

    `announces_contacts` is set when a hook is notified of the run's contacts: checkpoints write messages then.

    `failures` counts the steps that failed since the run last made progress, `troubled_since` is when the first of
    them did. `trouble` is the last failure (`pipeline.runs.trouble.Trouble`), and `retry_at` when that step is tried
    again.
    """

    __tablename__ = "runs"
    __table_args__ = (
        one_of("status", RunStatus),
        one_of("preset", PRESETS),
        not_negative(
            "charge_per_contact",
            "rebate_per_unresolved",
            "rebate_per_unverified",
            "version",
            "resends",
            "export_attempts",
        ),
        CheckConstraint("contact_count > 0", name="has_contacts"),
        CheckConstraint(
            "failures = 0 OR (failures > 0 AND num_nulls(trouble, troubled_since, retry_at) = 0)", name="trouble"
        ),
        CheckConstraint("charged_contacts BETWEEN 0 AND contact_count", name="charged_contacts"),
        CheckConstraint("preview_rows BETWEEN 0 AND 100", name="preview_rows"),
        CheckConstraint(
            "(status IN ('completed', 'failed', 'cancelled')) = (finished_at IS NOT NULL)", name="finished_at"
        ),
        CheckConstraint("retracted_at IS NULL OR finished_at IS NOT NULL", name="retracted_at"),
        CheckConstraint("expired_at IS NULL OR retracted_at IS NOT NULL", name="expired_at"),
        CheckConstraint("delete_rows_at IS NULL OR retracted_at IS NOT NULL", name="delete_rows_at"),
        CheckConstraint("status NOT IN ('running', 'completed') OR started_at IS NOT NULL", name="started_at"),
        CheckConstraint("(status = 'failed') = (error_code IS NOT NULL)", name="error_code"),
        CheckConstraint("(error_code IS NULL) = (error_message IS NULL)", name="error_message"),
        CheckConstraint("exporter IS NULL OR export_retry_at IS NOT NULL", name="exporter"),
        Index("uq_runs_idempotency_key", "account_id", "idempotency_key", unique=True),
        Index("uq_runs_retry_of", "retry_of", unique=True),
        Index("uq_runs_quote_id", "quote_id", unique=True, postgresql_where=text("quote_id IS NOT NULL")),
        Index("ix_runs_upload_id", "upload_id", postgresql_where=text("upload_id IS NOT NULL")),
        Index("ix_runs_account_id_created_at", "account_id", "created_at"),
        Index(
            "ix_runs_unexpired",
            "delete_rows_at",
            "finished_at",
            postgresql_where=text("expired_at IS NULL AND finished_at IS NOT NULL"),
        ),
        # Not on `resend_at`, which changes with each checkpoint: with it no checkpoint would be a cheap (HOT) update.
        Index("ix_runs_active", "id", postgresql_where=text("status IN ('pending', 'running')")),
        Index(
            "ix_runs_unexported",
            "account_id",
            "export_retry_at",
            postgresql_where=text("export_retry_at IS NOT NULL"),
        ),
        # Leasing looks whether the account is served: at one row, not at all that wait.
        Index("ix_runs_exporting", "account_id", postgresql_where=text("exporter IS NOT NULL")),
    )

    id: Mapped[IdKey]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    pipeline_id: Mapped[str]
    preset: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=RunStatus.PENDING.value)
    version: Mapped[BigCounter]
    retry_of: Mapped[UUID | None] = mapped_column(ForeignKey("runs.id"))
    contact_count: Mapped[int]
    charged_contacts: Mapped[int]
    made_in_sql: Mapped[bool] = mapped_column(server_default=text("false"))
    repeats: Mapped[list[int]] = mapped_column(JSONB, server_default="[]", deferred=True)
    extra_columns: Mapped[list[str]]
    required_fields: Mapped[list[str]]
    preview_rows: Mapped[int]
    fresh: Mapped[bool] = mapped_column(server_default=text("false"))
    export_formats: Mapped[list[str]]
    idempotency_key: Mapped[str | None]
    request_digest: Mapped[bytes | None]
    quote_id: Mapped[UUID | None]
    upload_id: Mapped[UUID | None]
    charge_per_contact: Mapped[int]
    rebate_per_unresolved: Mapped[int]
    rebate_per_unverified: Mapped[int]
    preview: Mapped[dict[str, Any]] = mapped_column(JSON, server_default=text("'{}'"))
    data_source_mix: Mapped[dict[str, Any]] = mapped_column(JSON, server_default=text("'{}'"))
    gap_report: Mapped[dict[str, Any]] = mapped_column(JSON, server_default=text("'{}'"))
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    error_stage: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    retracted_at: Mapped[datetime | None]
    delete_rows_at: Mapped[datetime | None]
    expired_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    resend_at: Mapped[datetime] = mapped_column(server_default=func.now())
    resends: Mapped[BigCounter]
    parked_until: Mapped[datetime | None]
    export_retry_at: Mapped[datetime | None]
    export_attempts: Mapped[int] = mapped_column(server_default="0")
    exporter: Mapped[str | None]
    failures: Mapped[int] = mapped_column(server_default="0")
    troubled_since: Mapped[datetime | None]
    trouble: Mapped[dict[str, Any] | None]
    retry_at: Mapped[datetime | None]
    announces_contacts: Mapped[bool] = mapped_column(server_default=text("false"))
