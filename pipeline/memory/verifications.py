"""Verdicts on addresses, kept per account, so that mail servers are not asked the same question again.

Only conclusive answers of mail servers are kept. Syntax and DNS are checked again at no cost.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.orm import Session

from pipeline.contacts import Batch, Contact, KnownAnswer
from pipeline.evidence import Evidence
from pipeline.mail.address.syntax import Address, parse_address
from pipeline.mail.replies.meaning import CONCLUSIVE, Meaning
from pipeline.memory.span import Span
from pipeline.outcomes import Outcome

HOLDS_FOR_DAYS = CONCLUSIVE - {Meaning.MAILBOX_BUSY}
"""What is kept. A busy mailbox is free in an hour."""

ANY = text("""
SELECT EXISTS (SELECT FROM verifications v WHERE v.account_id = r.account_id)
FROM runs r WHERE r.id = :run_id AND NOT r.fresh
""")

FRESH = text("""
SELECT v.address, v.evidence, v.checked_at, extract(epoch FROM now() - v.checked_at) AS age_seconds
FROM runs r
JOIN verifications v ON v.account_id = r.account_id AND v.address = ANY(:addresses)
WHERE r.id = :run_id AND NOT r.fresh
  AND v.checked_at > now() - make_interval(secs => 86400 * CASE v.status
    WHEN 'valid' THEN CAST(:valid AS float) WHEN 'risky' THEN CAST(:risky AS float) ELSE CAST(:invalid AS float) END)
""")

# In one order, so that concurrent transactions lock the rows in one order.
REMEMBER = text("""
INSERT INTO verifications (account_id, address, status, reason, score, evidence)
SELECT :account_id, decode(r.address, 'hex'), r.status, r.reason, r.score, r.evidence
FROM jsonb_to_recordset(CAST(:verdicts AS jsonb))
  AS r(address text, status text, reason text, score int, evidence jsonb)
ORDER BY r.address
ON CONFLICT (account_id, address) DO UPDATE SET
  status = excluded.status, reason = excluded.reason, score = excluded.score, evidence = excluded.evidence,
  checked_at = excluded.checked_at
""")


@dataclass(frozen=True, slots=True)
class Freshness:
    """For how many days a verdict of each status is used again. 0 is never."""

    valid: float = 30.0
    risky: float = 7.0
    invalid: float = 30.0

    @property
    def longest(self) -> float:
        """The number of days after which no verdict is used."""
        return max(self.valid, self.risky, self.invalid)


def complete_batch(session: Session, span: Span, batch: Batch, freshness: Freshness) -> Batch:
    """Add the answers that are known for the batch's addresses."""
    return replace(batch, known_answers=fresh_answers(session, span.run_id, batch.contacts, freshness))


def fresh_answers(
    session: Session, run_id: UUID, contacts: Sequence[Contact], freshness: Freshness
) -> Mapping[str, KnownAnswer]:
    """The fresh answers of the run's account, by normalised address. Empty for a run that wants fresh verdicts.

    Contacts whose mail server was asked by an earlier stage are left out, since that answer is fresher.
    """
    if not session.scalar(ANY, {"run_id": run_id}):
        return {}
    keys = {
        _key(str(address)): str(address)
        for contact in contacts
        if contact.email
        and not (contact.evidence.reply and contact.evidence.reply.mail_host)
        and isinstance(address := parse_address(contact.email), Address)
    }
    if not keys:
        return {}
    days = {"valid": freshness.valid, "risky": freshness.risky, "invalid": freshness.invalid}
    rows = session.execute(FRESH, {"run_id": run_id, "addresses": list(keys), **days})
    return {
        keys[bytes(row.address)]: KnownAnswer(Evidence.from_json(row.evidence), row.checked_at, float(row.age_seconds))
        for row in rows
    }


def remember_verdicts(session: Session, account_id: UUID, outcomes: Iterable[Outcome]) -> None:
    """Keep conclusive verdicts. A remembered verdict is not kept again, so that it ages."""
    verdicts = {outcome.email: outcome for outcome in outcomes if outcome.email and _is_conclusive(outcome)}
    if verdicts:
        kept = to_json(list(map(_row, verdicts.items())), bytes_mode="hex").decode()
        session.execute(REMEMBER, {"account_id": account_id, "verdicts": kept})


def _row(verdict: tuple[str, Outcome]) -> dict[str, Any]:
    email, outcome = verdict
    return {
        "address": _key(email),
        "status": str(outcome.status),
        "reason": str(outcome.reason),
        "score": outcome.score,
        "evidence": outcome.evidence.of_mail_server.to_json(),
    }


def _is_conclusive(outcome: Outcome) -> bool:
    """Whether a mail server said it, just now, and all that a verdict needs."""
    reply = outcome.evidence.reply
    if outcome.evidence.cache or reply is None or not reply.mail_host or reply.meaning not in HOLDS_FOR_DAYS:
        return False
    return reply.meaning != Meaning.ACCEPTED or outcome.evidence.catch_all is not None


def _key(email: str) -> bytes:
    return hashlib.sha256(email.encode()).digest()
