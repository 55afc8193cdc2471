"""A new run: a file, how it is read, what it costs, and the start."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from api import runs as api_runs
from api import uploads as api_uploads
from api.quotes import quoted
from api.resources import database_of, redis_of, resources_of, settings_of
from api.uploads import ReadingProgress, upload_id_of
from models.queries import run_of_upload
from models.quote_wire import NoQuote, Quote
from models.upload import Upload
from models.wire import needs_of
from pipeline.credits import RateCard
from pipeline.errors import InsufficientCredits, InvalidInput, QuoteRefused
from pipeline.ledger import Standing, standing
from pipeline.uploads import receiving
from web.access import Member, SignedIn
from web.forms import Form
from web.frame import frame_of
from web.rendering import go_to, page
from web.slots import CHANGE, LIST, READ_UPLOAD
from web.views.uploads import file_view, mapping_of
from web.views.words import PRESETS

WAITING_UPLOADS = 20
OF_AN_ENCODING = "UTF-8"
"""It is in each refusal of a text whose encoding can't be told, and in none of a file that is no text."""
NO_PRICE = "There is a price once a run can be started from the file."
OF_THE_COMMAND = re.compile(r"Say which is which, such as --map [^.]*\.")
"""What the reading says for who calls it by the command line."""

new_run = APIRouter()


class UploadState(NamedTuple):
    """How far a file is: the word of its sign, and its name."""

    sign: str
    name: str


class WaitingUpload(NamedTuple):
    """An upload that no run uses."""

    id: UUID
    name: str
    state: UploadState
    contacts: int
    expires_at: datetime


class Price(NamedTuple):
    """A quote, as people read it: what is held at the start, and what will probably come back."""

    contacts: int
    total: int
    each: int
    providers: float
    found: int
    verified: int
    back: int
    balance: int
    until: datetime
    token: str

    @property
    def missing(self) -> int:
        """Credits that the account needs, and has not."""
        return max(0, self.total - self.balance)


@new_run.get("/new", dependencies=[LIST])
def begin(request: Request, member: SignedIn) -> Response:
    """Where a file is dropped."""
    settings = settings_of(request)
    with database_of(request).transaction() as session:
        values: dict[str, Any] = {
            "frame": frame_of(session, member.account_id),
            "waiting": _waiting(session, member.account_id),
        }
    return page(
        request,
        "new.html",
        here="new",
        rates=RateCard.of(settings),
        most_bytes=settings.max_upload_bytes,
        most_rows=settings.max_upload_rows,
        knows_companies=settings.companies_file is not None,
        **values,
    )


@new_run.get("/new/{upload_id}", dependencies=[LIST])
def show(request: Request, member: SignedIn, upload_id: str, fresh: str = "") -> Response:
    """A file: as much of it as has arrived, that it is read, or what was recognised in it and what a run costs."""
    return _page(request, member, upload_id_of(upload_id), is_fresh=fresh == "true")


@new_run.post("/new/{upload_id}/read", dependencies=[READ_UPLOAD])
def read(request: Request, member: SignedIn, upload_id: str) -> Response:
    """Have a file read that has arrived; the page that waits for it then shows it."""
    shown = api_uploads.read(request, member.account_id, upload_id)
    is_read = shown.status in ("ready", "refused")
    return Response(status_code=204, headers={"HX-Refresh": "true"} if is_read else {})


@new_run.get("/new/{upload_id}/progress", dependencies=[LIST])
def progress(request: Request, member: SignedIn, upload_id: str) -> Response:
    """How many rows have been read so far."""
    known_id = upload_id_of(upload_id)
    with database_of(request).transaction() as session:
        upload = receiving.find_upload(session, member.account_id, known_id)
    if upload.reading:
        return Response(status_code=204, headers={"HX-Refresh": "true"})
    return page(request, "new_rows_read.html", rows=_rows_read(request, known_id))


@new_run.post("/new/{upload_id}/reading", dependencies=[READ_UPLOAD])
def read_anew(request: Request, member: SignedIn, upload_id: str, form: Form) -> Response:
    """Have the file read with the columns and the preset that the form has."""
    known_id = upload_id_of(upload_id)
    with database_of(request).transaction() as session:
        upload = receiving.find_upload(session, member.account_id, known_id)
        headings = [heading for heading, _ in upload.recognised.get("columns", [])]
    mapping = mapping_of(form, headings, request.headers.get("hx-trigger-name", ""))
    wanted = {
        "preset": form.get("preset") or upload.preset,
        "mapping": mapping,
        "encoding": (form["encoding"] or None) if "encoding" in form else upload.encoding,
    }
    body = json.dumps(wanted).encode()
    api_uploads.read_anew(request, member.account_id, upload_id, body)
    return go_to(request, f"/new/{known_id}", {"fresh": "true"} if form.get("fresh") else None)


@new_run.post("/new/{upload_id}/start", dependencies=[CHANGE])
def start(request: Request, member: SignedIn, upload_id: str, form: Form) -> Response:
    """Start the run at the price of its quote. Sent twice, it is one run."""
    known_id, token = upload_id_of(upload_id), form.get("token", "")
    is_fresh = form.get("fresh") == "true"
    preset = form.get("preset", "")
    body = json.dumps({"goal_plan": _plan(known_id, preset, is_fresh=is_fresh), "quote_token": token}).encode()
    try:
        accepted = api_runs.create(request, member.account_id, body, _key_of(token))
    except (QuoteRefused, InsufficientCredits, InvalidInput) as refused:
        status = 402 if isinstance(refused, InsufficientCredits) else 409
        return _page(request, member, known_id, is_fresh=is_fresh, status=status, refusal=str(refused))
    return go_to(request, f"/runs/{accepted.run_id}")


@new_run.post("/new/{upload_id}/discard", dependencies=[CHANGE])
def discard(request: Request, member: SignedIn, upload_id: str) -> Response:
    """Delete an upload that no run uses."""
    with database_of(request).transaction() as session:
        receiving.discard(session, member.account_id, upload_id_of(upload_id))
    return go_to(request, "/new")


def _page(
    request: Request, member: Member, upload_id: UUID, *, is_fresh: bool, status: int = 200, refusal: str = ""
) -> Response:
    with database_of(request).transaction() as session:
        upload = receiving.find_upload(session, member.account_id, upload_id)
        now = standing(session, member.account_id)
        values: dict[str, Any] = {"frame": frame_of(session, member.account_id), "here": "new", "upload": upload}
        if not upload.reading:
            rows = _rows_read(request, upload_id) if upload.is_complete else 0
            return page(
                request, "new_reading.html", rows=rows, most_bytes=settings_of(request).max_upload_bytes, **values
            )
        values |= {
            "file": file_view(session, upload),
            "why_refused": OF_THE_COMMAND.sub("Say below which column is which.", upload.refusal or ""),
            "encoding_may_help": OF_AN_ENCODING in (upload.refusal or "").removeprefix(upload.name),
            "used_by": run_of_upload(session, upload_id),
            "knows_companies": settings_of(request).companies_file is not None,
        }
    price, why_not = _price(request, member, upload, now, is_fresh=is_fresh)
    return page(
        request,
        "new_file.html",
        status,
        price=price,
        why_not=why_not,
        is_fresh=is_fresh,
        rates=RateCard.of(settings_of(request)),
        refusal=refusal,
        presets=_presets(upload, knows_companies=values["knows_companies"]),
        **values,
    )


def _price(
    request: Request, member: Member, upload: Upload, now: Standing, *, is_fresh: bool
) -> tuple[Price | None, str]:
    """The price of a run, or why there is none."""
    if not upload.is_ready:
        return None, NO_PRICE
    body = json.dumps({"goal_plan": _plan(upload.id, upload.preset, is_fresh=is_fresh)}).encode()
    quote = quoted(resources_of(request), body, member.account_id)
    if isinstance(quote, NoQuote):
        return None, quote.detail
    return _readable(quote, upload, now, RateCard.of(settings_of(request))), ""


def _readable(quote: Quote, upload: Upload, now: Standing, rates: RateCard) -> Price:
    found, verified = quote.expected_artifacts.enriched_contacts, quote.expected_artifacts.verified_emails
    without, unverified = upload.contact_count - found, found - verified
    back = without * rates.rebate_per_unresolved + unverified * rates.rebate_per_unverified
    return Price(
        contacts=upload.contact_count,
        total=quote.credits_total,
        each=rates.per_contact,
        providers=quote.provider_estimate.cost,
        found=found,
        verified=verified,
        back=min(back, quote.credits_total),
        balance=now.balance,
        until=quote.expiry,
        token=quote.quote_token,
    )


def _plan(upload_id: UUID, preset: str, *, is_fresh: bool) -> Mapping[str, Any]:
    output = {"output": {"fresh": True}} if is_fresh else {}
    assets = {"upload_id": str(upload_id)}
    return {"pipeline_id": "email_discovery_v1", "preset": preset, "input_assets": assets, **output}


def _presets(upload: Upload, *, knows_companies: bool) -> Mapping[str, bool]:
    """The presets, and whether the file has the columns that each needs."""
    fields = {field for _, field in upload.recognised.get("columns", []) if field}
    needs = {name: needs_of(name, knows_companies=knows_companies) for name in PRESETS}
    return {name: name == upload.preset or any(set(each) <= fields for each in needs[name]) for name in PRESETS}


def _waiting(session: Session, account_id: UUID) -> Sequence[WaitingUpload]:
    found = receiving.unused_uploads(session, account_id, WAITING_UPLOADS)
    return [WaitingUpload(each.id, each.name, _state(each), each.contact_count, each.expires_at) for each in found]


def _state(upload: Upload) -> UploadState:
    if not upload.is_complete:
        return UploadState("pending", "Incomplete")
    if not upload.reading:
        return UploadState("pending", "Not read yet")
    return UploadState("failed", "Can’t be used") if upload.refusal else UploadState("valid", "Ready")


def _rows_read(request: Request, upload_id: UUID) -> int:
    return ReadingProgress(redis_of(request), upload_id).rows()


def _key_of(token: str) -> str:
    """An idempotency key: whoever sends a form twice gets the run of the first time."""
    return f"page-{hashlib.sha256(token.encode()).hexdigest()}"
