"""Creates a run with its contacts and its charge, in the caller's transaction."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.account import Account
from models.bounds import IDEMPOTENCY_KEY
from models.database import allow_time_for, copy_rows
from models.events import EventKind, add_event
from models.pauses import in_seconds
from models.run import Run
from models.run_stage import RunStage
from models.schema import new_id
from models.upload import Upload
from models.wire import ContactIn, GoalPlan, IdempotencyKey
from pipeline.credits import RateCard, charge, require_credits
from pipeline.errors import IdempotencyConflict, InvalidInput, QuoteRefused, UnknownAccount
from pipeline.quotes.tokens import digest_of, digest_with_upload, read
from pipeline.results.formats import check_size
from pipeline.runs.named_hooks import name_hooks
from pipeline.runs.work_order import WorkOrder
from pipeline.stages import stages_of
from pipeline.uploads.contacts import insert_contacts, usable_upload

NEVER_SENT_AFTER_S = 5
"""Seconds until the sweeper sends a run's chain, if its creator did not."""

_KEY: TypeAdapter[str | None] = TypeAdapter(IdempotencyKey | None)

CONTACT_COLUMNS = "run_id, position, input_row, first_name, last_name, full_name, company, domain, email, extra"


@dataclass(frozen=True, slots=True)
class CreatedRun:
    """A created run. `is_new` is false if its idempotency key had created it before."""

    run_id: UUID
    preset: str
    is_new: bool


def create_run(
    session: Session,
    account_id: UUID,
    plan: GoalPlan,
    *,
    rate_card: RateCard,
    idempotency_key: str | None = None,
    quote_token: str | None = None,
) -> CreatedRun:
    """Write a run, its contacts and its charge in the caller's transaction. No message is sent.

    After the commit send its chain: `worker.dispatch.send_chain(created.run_id, created.preset)`. If that
    is never done, the sweeper does it some seconds later. The operator's rate card is `RateCard.of(load_settings())`.
    A `quote_token` holds the rates of its quote instead.

    Raises `InvalidInput`, `UnknownAccount`, `InsufficientCredits`, `QuoteRefused`, `UnknownUpload`, `UploadConflict`,
    and `IdempotencyConflict` when the key was used with another body.
    """
    _check_key(idempotency_key)
    check_formats(plan, len(plan.input_assets.contacts))
    # Before the first statement: for a large plan this takes seconds, in which the transaction would be idle.
    order = WorkOrder.of(plan.input_assets.contacts, plan.preset)
    columns, plan_digest = _columns_of(plan.input_assets.contacts, order), b""
    if idempotency_key or quote_token:
        plan_digest = digest_of(plan)
    digest = _request_digest(plan_digest, quote_token) if idempotency_key else None
    _check_account(session, account_id)
    columns |= {"idempotency_key": idempotency_key, "request_digest": digest}
    upload_id = plan.input_assets.upload_id
    # The answer to a repeated request is its run, whatever became of the quote and of the upload.
    looks_first = quote_token or upload_id
    if looks_first and (earlier := _earlier_run(session, account_id, idempotency_key, digest)):
        return earlier
    if upload_id:
        upload = usable_upload(session, account_id, upload_id, plan.preset)
        check_formats(plan, upload.contact_count)
        columns |= _columns_of_upload(upload)
        plan_digest = digest_with_upload(plan_digest, upload)
    if quote_token:
        quote = read(session, account_id, plan_digest, quote_token)
        rate_card, columns["quote_id"] = quote.rates, quote.id
    run = _insert_run(session, account_id, plan, rate_card, columns)
    if run is None:
        if earlier := _earlier_run(session, account_id, idempotency_key, digest):
            return earlier
        raise QuoteRefused("This quote_token was used before: ask for a new quote.")
    allow_time_for(session, run.contact_count)
    require_credits(session, run)
    _insert_stages(session, run)
    if plan.output.hooks:
        name_hooks(session, run, plan.output.hooks)
    if upload_id:
        insert_contacts(session, run.id, upload_id)
    else:
        _copy_contacts(session, run.id, plan.input_assets.contacts, order)
    add_event(session, run.id, EventKind.CREATED, contacts=run.contact_count, preset=run.preset)
    charge(session, run)
    return CreatedRun(run.id, run.preset, is_new=True)


def _check_account(session: Session, account_id: UUID) -> None:
    if not _is_id(account_id) or session.scalar(select(Account.id).where(Account.id == account_id)) is None:
        raise UnknownAccount("There is no account with this id: `growth account create` opens one.")


def _is_id(value: object) -> bool:
    """Whether Postgres would take it for a UUID; if not, it would end the caller's transaction."""
    try:
        UUID(str(value))
    except ValueError:
        return False
    return True


def _check_key(idempotency_key: str | None) -> None:
    try:
        _KEY.validate_python(idempotency_key)
    except ValidationError as error:
        most = IDEMPOTENCY_KEY.most
        raise InvalidInput(f"The Idempotency-Key must be 1 to {most} printable ASCII characters: change it.") from error


def check_formats(plan: GoalPlan, contacts: int) -> None:
    """Raise `InvalidInput` if a format that the plan asks for can't hold so many contacts."""
    for name in plan.output.export_formats:
        check_size(name, contacts)


def _insert_run(
    session: Session, account_id: UUID, plan: GoalPlan, rates: RateCard, columns: Mapping[str, Any]
) -> Run | None:
    statement = (
        insert(Run)
        .values(
            id=new_id(),
            account_id=account_id,
            pipeline_id=plan.pipeline_id,
            preset=plan.preset,
            required_fields=plan.output.required_fields,
            preview_rows=plan.output.preview_rows,
            export_formats=plan.output.export_formats,
            fresh=plan.output.fresh,
            charge_per_contact=rates.per_contact,
            rebate_per_unresolved=rates.rebate_per_unresolved,
            rebate_per_unverified=rates.rebate_per_unverified,
            resend_at=in_seconds(NEVER_SENT_AFTER_S),
            **columns,
        )
        .on_conflict_do_nothing()  # with a run of this key, or of this quote
        .returning(Run)
    )
    return session.scalar(statement)


def _earlier_run(
    session: Session, account_id: UUID, idempotency_key: str | None, digest: bytes | None
) -> CreatedRun | None:
    of_key = select(Run).where(Run.account_id == account_id, Run.idempotency_key == idempotency_key)
    run = session.scalars(of_key).one_or_none() if idempotency_key else None
    if run and run.request_digest != digest:
        raise IdempotencyConflict(
            "This Idempotency-Key was used before with another body: send the same body, or a new key."
        )
    return CreatedRun(run.id, run.preset, is_new=False) if run else None


def _request_digest(plan_digest: bytes, quote_token: str | None) -> bytes:
    return hashlib.sha256(plan_digest + quote_token.encode()).digest() if quote_token else plan_digest


def _columns_of(contacts: Sequence[ContactIn], order: WorkOrder) -> dict[str, Any]:
    further = dict.fromkeys(name for contact in contacts for name in contact.model_extra or {})
    return {
        "extra_columns": list(further),
        "contact_count": len(contacts),
        "charged_contacts": order.charged,
        "repeats": order.repeats,
    }


def _columns_of_upload(upload: Upload) -> dict[str, Any]:
    return {
        "upload_id": upload.id,
        "extra_columns": upload.extra_columns,
        "contact_count": upload.contact_count,
        "charged_contacts": upload.contact_count,
    }


def _insert_stages(session: Session, run: Run) -> None:
    session.add_all(
        RunStage(run_id=run.id, stage=stage, ordinal=ordinal, total=run.contact_count)
        for ordinal, stage in enumerate(stages_of(run.preset))
    )
    session.flush()


def _copy_contacts(session: Session, run_id: UUID, contacts: Sequence[ContactIn], order: WorkOrder) -> None:
    copy_rows(session, f"COPY contacts ({CONTACT_COLUMNS}) FROM STDIN", _contact_rows(run_id, contacts, order))


def _contact_rows(run_id: UUID, contacts: Sequence[ContactIn], order: WorkOrder) -> Iterator[tuple[Any, ...]]:
    for position, place in enumerate(order.places):
        contact = contacts[place.row]
        yield (
            run_id,
            position,
            place.row,
            contact.first_name,
            contact.last_name,
            contact.full_name,
            contact.company,
            contact.domain,
            contact.email or None,
            json.dumps(contact.model_extra, ensure_ascii=False) if contact.model_extra else "{}",
        )
