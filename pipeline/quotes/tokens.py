"""Quote tokens: signed, for one account and one plan, valid once and for some minutes.

A token holds its quote, so that nothing is stored until it is used: the run that uses it keeps the quote's id, which a
unique index allows once.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Row, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.pauses import in_seconds
from models.schema import new_id
from models.signing_key import SigningKey
from models.upload import Upload
from models.wire import GoalPlan
from pipeline.credits import RateCard
from pipeline.errors import QuoteRefused

PURPOSE = "quotes"
ANEW = "ask for a new quote, or send the goal_plan without a token"


@dataclass(frozen=True, slots=True)
class SignedQuote:
    """What a token says: whose plan may be run at which rates, until when."""

    id: UUID
    account_id: UUID
    plan_digest: bytes
    rates: RateCard
    until: datetime


def issue(
    session: Session, account_id: UUID, plan_digest: bytes, rates: RateCard, minutes: float
) -> tuple[str, datetime]:
    """Sign a new quote; return its token, and when it expires."""
    key = _key(session).key
    until: datetime = session.execute(select(func.date_trunc("second", in_seconds(60 * minutes)))).scalar_one()
    quote = SignedQuote(new_id(), account_id, plan_digest, rates, until)
    return _signed(key, quote), until


def read(session: Session, account_id: UUID, plan_digest: bytes, token: str) -> SignedQuote:
    """The quote of a token. Raises `QuoteRefused` unless it is this account's, for this plan, and has not expired.

    Whether it was used before shows when its id is stored.
    """
    signer = _key(session)
    quote = _verified(signer.key, token)
    if quote is None or quote.account_id != account_id:
        raise QuoteRefused(f"This quote_token is not one of your account's: {ANEW}.")
    if quote.until <= signer.now:
        raise QuoteRefused(f"This quote_token has expired: {ANEW}.")
    if quote.plan_digest != plan_digest:
        raise QuoteRefused(
            f"This quote_token is for another goal_plan: send the one that the quote returned, or {ANEW}."
        )
    return quote


def digest_of(plan: GoalPlan) -> bytes:
    """The SHA-256 of a plan, which is the same for a plan as it was sent and as it was returned."""
    return hashlib.sha256(plan.model_dump_json().encode()).digest()


def digest_with_upload(plan_digest: bytes, upload: Upload) -> bytes:
    """The digest of a plan whose contacts are in an upload: another one after it was read in another way."""
    return hashlib.sha256(plan_digest + str(upload.reading).encode()).digest()


def _key(session: Session) -> Row[bytes, datetime]:
    """The key, and the database's time."""
    wanted = select(SigningKey.key, func.now().label("now")).where(SigningKey.purpose == PURPOSE)
    if (found := session.execute(wanted).one_or_none()) is not None:
        return found
    new = insert(SigningKey).values(purpose=PURPOSE, key=secrets.token_bytes(32))
    session.execute(new.on_conflict_do_nothing())
    return session.execute(wanted).one()


def _signed(key: bytes, quote: SignedQuote) -> str:
    rates = quote.rates
    content = [
        quote.id.hex,
        quote.account_id.hex,
        quote.plan_digest.hex(),
        [rates.per_contact, rates.rebate_per_unresolved, rates.rebate_per_unverified],
        int(quote.until.timestamp()),
    ]
    payload = json.dumps(content, separators=(",", ":")).encode()
    return f"{_as_text(payload)}.{_as_text(_signature(key, payload))}"


def _verified(key: bytes, token: str) -> SignedQuote | None:
    payload, signature = (_as_bytes(part) for part in token.partition(".")[::2])
    if not hmac.compare_digest(signature, _signature(key, payload)):
        return None
    quote_id, account_id, digest, rates, until = json.loads(payload)
    expires = datetime.fromtimestamp(until, UTC)
    return SignedQuote(UUID(quote_id), UUID(account_id), bytes.fromhex(digest), RateCard(*rates), expires)


def _signature(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, payload, "sha256")


def _as_text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _as_bytes(text: str) -> bytes:
    """The content of such a text; nothing if it is no such text."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
