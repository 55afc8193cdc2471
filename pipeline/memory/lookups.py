"""Results of look-ups, kept per account, so that mail servers are not asked the same question again."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.orm import Session

from pipeline.contacts import Batch, Contact, KnownPerson
from pipeline.evidence import KnownLookup, ReplyEvidence
from pipeline.lookup.names.parse import parse_name
from pipeline.lookup.patterns.observations import ASKED
from pipeline.lookup.search.recall import domain_digest, mailbox_digest, person_digest
from pipeline.mail.address.syntax import normalise_domain
from pipeline.memory.domain_patterns import known_patterns
from pipeline.memory.span import Span
from pipeline.outcomes import Outcome, OutcomeStatus, Reason

FRESH_DAYS = 30
"""How long a look-up is used again. One person in thirty changes jobs in a month; `email_verify` detects it."""

CONCLUSIVE = {Reason.EVERY_CANDIDATE_REFUSED, Reason.MAILBOX_DISABLED}
"""Reasons for not finding somebody that will be the same next week."""

# The digest of a person begins with that of the domain.
DOMAINS_WITH_PEOPLE = text("""
SELECT d.digest FROM runs r, unnest(CAST(:digests AS bytea[])) AS d(digest)
WHERE r.id = :run_id AND NOT r.fresh AND EXISTS (
  SELECT FROM lookups l
  WHERE l.account_id = r.account_id AND l.person BETWEEN d.digest AND d.digest || decode(repeat('ff', 24), 'hex')
)
""")

FRESH = text("""
SELECT l.person, l.mailbox, l.reason, l.score, l.evidence
FROM runs r JOIN lookups l ON l.account_id = r.account_id AND l.person = ANY(:people)
WHERE r.id = :run_id AND NOT r.fresh AND l.asked_at > now() - make_interval(days => CAST(:days AS int))
""")

# In one order, so that concurrent transactions lock the rows in one order.
REMEMBER = text("""
INSERT INTO lookups (account_id, person, mailbox, reason, score, evidence)
SELECT :account_id, decode(r.person, 'hex'), decode(r.mailbox, 'hex'), r.reason, r.score, r.evidence
FROM jsonb_to_recordset(CAST(:kept AS jsonb))
  AS r(person text, mailbox text, reason text, score int, evidence jsonb)
ORDER BY r.person
ON CONFLICT (account_id, person) DO UPDATE SET
  mailbox = excluded.mailbox, reason = excluded.reason, score = excluded.score, evidence = excluded.evidence,
  asked_at = excluded.asked_at
""")

REACH = 2000
"""How far colleagues in other chunks are searched. Contacts are ordered by domain, so they are near."""
GIVEN = text("""
SELECT email FROM outcomes
WHERE run_id = :run_id AND stage = :stage AND position
  BETWEEN CAST(:first AS bigint) - CAST(:reach AS bigint) AND CAST(:last AS bigint) + CAST(:reach AS bigint)
  AND split_part(email, '@', 2) = ANY(:domains)
""")


NEAR = 250
"""How far colleagues are searched who may own a found address. Parsing a thousand names takes 0.3 s."""
COLLEAGUES = text("""
SELECT c.position, c.first_name, c.last_name, c.full_name, c.domain FROM contacts c
WHERE c.run_id = :run_id AND c.position
  BETWEEN CAST(:first AS bigint) - CAST(:reach AS bigint) AND CAST(:last AS bigint) + CAST(:reach AS bigint)
  AND c.position NOT BETWEEN :first AND :last AND lower(c.domain) = ANY(:domains)
  AND NOT EXISTS (
    SELECT FROM outcomes o
    WHERE o.run_id = :run_id AND o.stage = :stage AND o.position = c.position AND o.email IS NOT NULL
  )
ORDER BY c.position
""")


def complete_batch(session: Session, span: Span, batch: Batch, _freshness: object) -> Batch:
    """Add the patterns and people that are known, the addresses that are given, and the colleagues at its domains."""
    domains = _domains(batch.contacts)
    if not domains:
        return batch
    batch = replace(
        batch,
        known_patterns=known_patterns(session, sorted(set(domains.values()))),
        known_people=known_people(session, span.run_id, batch.contacts),
    )
    if len(batch.contacts) == span.of_run:
        return batch
    return replace(batch, taken=addresses_given(session, span, domains), colleagues=colleagues(session, span, domains))


def colleagues(session: Session, span: Span, domains: Mapping[str, str]) -> list[Contact]:
    """The run's other contacts at these domains, near the span, that have no address yet."""
    as_written = {written.lower() for written in domains} | set(domains.values())
    parameters = {**span._asdict(), "reach": NEAR, "domains": sorted(as_written)}
    return [Contact(**row._asdict()) for row in session.execute(COLLEAGUES, parameters)]


def addresses_given(session: Session, span: Span, domains: Mapping[str, str]) -> Sequence[str]:
    """The addresses at these domains that the run has given to contacts of the span, and near it."""
    return session.scalars(GIVEN, {**span._asdict(), "reach": REACH, "domains": sorted(set(domains.values()))}).all()


def known_people(session: Session, run_id: UUID, contacts: Sequence[Contact]) -> Mapping[bytes, KnownPerson]:
    """Recent look-ups of these people by the run's account, by `person_digest`. Empty for a fresh run.

    Names are parsed only where the account has looked up somebody of the same domain: that takes longer than all else.
    """
    domains = _domains(contacts)
    with_people = _with_people(session, run_id, set(domains.values()))
    candidates = (contact for contact in contacts if domains.get(contact.domain) in with_people)
    people = list(filter(None, map(_person, candidates)))
    rows = session.execute(FRESH, {"run_id": run_id, "people": people, "days": FRESH_DAYS}) if people else ()
    return {
        bytes(row.person): KnownPerson(
            bytes(row.mailbox) if row.mailbox is not None else None,
            row.reason,
            row.score,
            KnownLookup.from_json(row.evidence),
        )
        for row in rows
    }


def _domains(contacts: Iterable[Contact]) -> Mapping[str, str]:
    """The domains of these contacts, normalised, by how they are written."""
    written = {contact.domain for contact in contacts}
    return {each: domain for each in written if (domain := normalise_domain(each))}


def _with_people(session: Session, run_id: UUID, domains: Iterable[str]) -> Collection[str]:
    """The domains of whose people the run's account has looked up any."""
    by_digest = {domain_digest(domain): domain for domain in domains}
    found = session.scalars(DOMAINS_WITH_PEOPLE, {"run_id": run_id, "digests": list(by_digest)}) if by_digest else ()
    return {by_digest[bytes(digest)] for digest in found}


def remember_people(session: Session, account_id: UUID, outcomes: Iterable[Outcome]) -> None:
    """Keep conclusive results of mail servers. A remembered result is not kept again, so that it ages."""
    people = dict(filter(None, map(known_person, outcomes)))
    if people:
        kept = to_json(list(map(_row, people.items())), bytes_mode="hex").decode()
        session.execute(REMEMBER, {"account_id": account_id, "kept": kept})


def _row(known_as: tuple[bytes, KnownPerson]) -> dict[str, Any]:
    person, known = known_as
    return {
        "person": person,
        "mailbox": known.mailbox,
        "reason": str(known.reason),
        "score": known.score,
        "evidence": known.evidence.to_json(),
    }


def known_person(outcome: Outcome) -> tuple[bytes, KnownPerson] | None:
    """What to keep of an outcome, by `person_digest`; None if no mail server gave a conclusive answer."""
    evidence, search, reply = outcome.evidence, outcome.evidence.search, outcome.evidence.reply or ReplyEvidence()
    is_found = outcome.status is OutcomeStatus.FOUND and outcome.source in ASKED
    if search is None or not search.person or evidence.catch_all or not (is_found or outcome.reason in CONCLUSIVE):
        return None
    return search.person, KnownPerson(
        mailbox_digest(outcome.email) if outcome.email else None,
        outcome.reason,
        outcome.score,
        KnownLookup(evidence.pattern, reply.mail_host, reply.reply_code, reply.asked_at),
    )


def _person(contact: Contact) -> bytes | None:
    domain = normalise_domain(contact.domain)
    name = parse_name(first_name=contact.first_name, last_name=contact.last_name, full_name=contact.full_name)
    return person_digest(domain, name) if domain and name else None
