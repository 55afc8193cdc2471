"""Erasure: removes a person from an account's runs and from what the account remembers.

An erased contact keeps its place in counts, credits and timelines, and loses all its content. Erasure works in small
steps, each under its run's lock, and is safe while the run is worked: a chunk task that works on the contact finds its
outcomes written already, and an export that is being written is written again.
"""

import json
import re
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, select, text, update
from sqlalchemy.orm import Session

from models.database import plan_anew
from models.events import EventKind, add_event
from models.lookup import Lookup
from models.provider_answer import ProviderAnswer
from models.run import Run
from models.run_chunk import COMPILE, RunChunk
from models.status import TERMINAL_RUN_STATUSES, ChunkStatus
from models.transitions import lock_run, recount_waiting, release_chunk, retract_outcomes, touch_run
from models.verification import Verification
from pipeline.lookup.names.parse import Name, parse_name
from pipeline.lookup.providers.source import Person, normalised
from pipeline.lookup.search.recall import mailbox_digest, person_digest
from pipeline.mail.address.suppression import mailbox_text, sha256_of
from pipeline.mail.address.syntax import ADDRESS_OCTETS, LOCAL_PART_OCTETS, Address, normalise_domain, parse_address
from pipeline.memory.provider_answers import lock_journal
from pipeline.outcomes import Reason
from pipeline.results.export_lease import void_exports
from pipeline.stages import retracted_statuses

BATCH = 2000
"""Contacts searched in one transaction."""

_WORD = re.compile(r"""[^\s"'<>,;:()\\]++""")
_DOMAIN = re.compile(r"[\w.-]++")

CONTACTS = text("""
SELECT c.position, c.first_name, c.last_name, c.full_name, c.company, c.domain, c.email, c.extra,
       ARRAY(SELECT o.email FROM outcomes o
             WHERE o.run_id = :run_id AND o.position = c.position AND o.email IS NOT NULL) AS emails,
       ARRAY(SELECT decode(o.evidence->>'person', 'hex') FROM outcomes o
             WHERE o.run_id = :run_id AND o.position = c.position AND o.evidence ? 'person') AS looked_up
FROM contacts c
WHERE c.run_id = :run_id AND c.position BETWEEN :first AND :last AND NOT c.erased
""")

FOUND = text("""
SELECT position, email FROM outcomes
WHERE run_id = :run_id AND position BETWEEN :first AND :last AND email IS NOT NULL
""")

NOT_ERASED = text("""
SELECT position FROM contacts WHERE run_id = :run_id AND position = ANY(:positions) AND NOT erased ORDER BY position
""")

BLANK = text("""
UPDATE contacts SET first_name = '', last_name = '', full_name = '', company = '', domain = '', email = NULL,
  extra = '{}', erased = true
WHERE run_id = :run_id AND position = ANY(:positions)
""")

FORGET_DEFERRALS = text("DELETE FROM deferrals WHERE run_id = :run_id AND position = ANY(:positions)")

# Write the missing outcomes of these contacts, so that no stage works them.
FINISH = text("""
WITH written AS (
  INSERT INTO outcomes (run_id, stage, position, status, reason, score, evidence)
  SELECT s.run_id, s.stage, p.position,
         coalesce(CAST(:statuses AS jsonb) ->> s.stage, 'skipped'), :reason, 0, '{}'
  FROM run_stages s, unnest(CAST(:positions AS int[])) AS p(position)
  WHERE s.run_id = :run_id
  ON CONFLICT DO NOTHING
  RETURNING stage
)
UPDATE run_stages s SET done = s.done + n.contacts
FROM (SELECT stage, count(*) AS contacts FROM written GROUP BY stage) n
WHERE s.run_id = :run_id AND s.stage = n.stage
""")


@dataclass(slots=True)
class Wanted:
    """The people to erase, by everything known about them. Matching contacts add to it.

    `people` are names with a domain or a company, one of the `places`. `addresses` are spelled as they were found, to
    hash them. `looked_up` holds the digests under which look-ups are kept, `questions` those of provider answers.
    """

    mailboxes: set[str] = field(default_factory=set)
    people: set[tuple[Name, str]] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    questions: set[bytes] = field(default_factory=set)
    looked_up: set[bytes] = field(default_factory=set)

    def add_address(self, given: str) -> bool:
        """Add the person with this address; False if it is not an address."""
        address = parse_address(given)
        if isinstance(address, Address):
            self.mailboxes.add(mailbox_text(address))
            self.addresses |= {str(address), f"{address.local.lower()}@{address.domain}", mailbox_text(address)}
        return isinstance(address, Address)

    def add_person(self, person: Person) -> bool:
        """Add the person with this name at this domain or company; False if either is missing."""
        name = _name(person)
        places = {place for place in (person.domain, normalised(person.company)) if place}
        if name is None or not places:
            return False
        self.people |= {(name, place) for place in places}
        self.places |= places
        self.looked_up.add(person_digest(person.domain, name))
        self.questions |= {person.digest, Person(full_name=person.name, domain=person.domain).digest}
        return True

    def has(self, contact: Row[Any]) -> bool:
        """Whether a contact matches, by an address in any of its fields or by its name."""
        if self.has_any(_addresses(contact)):
            return True
        places = {normalise_domain(contact.domain) if contact.domain else "", normalised(contact.company)}
        near = self.places & places
        return bool(near) and any((_name(_person(contact)), place) in self.people for place in near)

    def has_any(self, addresses: Iterable[Address]) -> bool:
        """Whether one of these addresses matches."""
        return any(mailbox_text(address) in self.mailboxes for address in addresses)

    def learn(self, contact: Row[Any]) -> None:
        """Add the names and addresses of a matching contact."""
        for given in (contact.email or "", *contact.emails):
            self.add_address(given)
        self.add_person(_person(contact))
        self.looked_up |= {bytes(digest) for digest in contact.looked_up}
        for domain in {address.domain for address in _addresses(contact)}:
            self.questions.add(Person(full_name=_person(contact).name, domain=domain).digest)


def runs_with_data(session: Session, account_id: UUID) -> Sequence[tuple[UUID, int]]:
    """The account's runs that have not expired, with their numbers of contacts."""
    mine = select(Run.id, Run.contact_count).where(Run.account_id == account_id, Run.expired_at.is_(None))
    return [(run_id, contacts) for run_id, contacts in session.execute(mine.order_by(Run.id))]


def read_batch(session: Session, run_id: UUID, first: int) -> Sequence[Row[Any]]:
    """Read a batch of contacts from this position on, to search it after the transaction."""
    return session.execute(CONTACTS, {"run_id": run_id, "first": first, "last": first + BATCH - 1}).all()


def erase_contacts(
    session: Session, run_id: UUID, first: int, found: Collection[int], wanted: Wanted, erasure_id: UUID
) -> tuple[Run, int]:
    """Erase contacts of a batch; return the run's fresh row and how many were erased. Voids the export files.

    `found` are the positions of matching contacts from `read_batch`. Under the run's lock, only addresses that a stage
    found since then are searched. Changes nothing if no contact matches. Raises `sqlalchemy.exc.NoResultFound` for an
    unknown run.
    """
    run = lock_run(session, run_id) or session.get_one(Run, run_id)
    positions = sorted({*found, *_found_since(session, run_id, first, wanted)})
    positions = list(session.scalars(NOT_ERASED, {"run_id": run_id, "positions": positions})) if positions else []
    if not positions:
        return run, 0
    of_them: dict[str, Any] = {"run_id": run_id, "positions": positions}
    session.execute(BLANK, of_them)
    session.execute(FORGET_DEFERRALS, of_them)
    retract_outcomes(session, run_id, of_them["positions"], Reason.SUPPRESSED, retracted_statuses())
    if run.status not in TERMINAL_RUN_STATUSES:
        plan_anew(session)
        statuses = json.dumps(retracted_statuses())
        session.execute(FINISH, of_them | {"reason": Reason.SUPPRESSED.value, "statuses": statuses})
    recount_waiting(session, run_id, of_them["positions"])
    void_files(session, run)
    add_event(session, run_id, EventKind.ERASED, erasure_id=str(erasure_id), contacts=len(positions))
    return touch_run(session, run_id, 0), len(positions)


def _found_since(session: Session, run_id: UUID, first: int, wanted: Wanted) -> Iterator[int]:
    """Contacts of a batch for which a stage found a matching address."""
    for position, email in session.execute(FOUND, {"run_id": run_id, "first": first, "last": first + BATCH - 1}):
        address = parse_address(email)
        if isinstance(address, Address) and wanted.has_any([address]):
            yield position


def forget_verdicts(session: Session, account_id: UUID, wanted: Wanted) -> int:
    """Delete the account's verdicts on their addresses; return how many."""
    digests = [sha256_of(address) for address in wanted.addresses]
    theirs = delete(Verification).where(Verification.account_id == account_id, Verification.address.in_(digests))
    return len(session.scalars(theirs.returning(Verification.address)).all())


def forget_lookups(session: Session, account_id: UUID, wanted: Wanted) -> int:
    """Delete the account's look-ups of them; return how many."""
    mailboxes = [mailbox_digest(address) for address in wanted.addresses]
    # Two statements: with an OR, Postgres would scan all look-ups of the account.
    theirs = (Lookup.mailbox.in_(mailboxes), Lookup.person.in_(wanted.looked_up))
    gone = (delete(Lookup).where(Lookup.account_id == account_id, each).returning(Lookup.person) for each in theirs)
    return sum(len(session.scalars(each).all()) for each in gone)


def forget_answers(session: Session, account_id: UUID, wanted: Wanted) -> int:
    """Empty the provider answers about them; return how many. Their cost stays counted.

    An answer loses its question too. A question without an answer keeps it and counts as answered, so that the answer
    is not written when it arrives.
    """
    lock_journal(session, account_id)
    theirs = [*_answers_about(session, account_id, wanted)]
    blank: dict[str, Any] = {"status": "not_found", "email": None, "score": None, "evidence": {}}
    for provider, question, is_answered in theirs:
        values = {"question": secrets.token_bytes(32)} if is_answered else {"answered_at": func.clock_timestamp()}
        session.execute(
            update(ProviderAnswer)
            .where(
                ProviderAnswer.account_id == account_id,
                ProviderAnswer.provider == provider,
                ProviderAnswer.question == question,
            )
            .values(blank | values)
            .execution_options(synchronize_session=False)
        )
    return len(theirs)


def _answers_about(session: Session, account_id: UUID, wanted: Wanted) -> Iterator[tuple[str, bytes, bool]]:
    columns = (ProviderAnswer.provider, ProviderAnswer.question, ProviderAnswer.email, ProviderAnswer.answered_at)
    mine = select(*columns).where(ProviderAnswer.account_id == account_id)
    asked = ProviderAnswer.question.in_(wanted.questions)
    all_of_them = mine.where(asked | ProviderAnswer.email.is_not(None)).execution_options(yield_per=BATCH)
    for row in session.execute(all_of_them):
        address = parse_address(row.email) if row.email else None
        is_theirs = isinstance(address, Address) and mailbox_text(address) in wanted.mailboxes
        if is_theirs or bytes(row.question) in wanted.questions:
            yield row.provider, row.question, row.answered_at is not None


def void_files(session: Session, run: Run) -> None:
    """Void the export files, which may contain erased data. A compile task that writes files has to start again."""
    void_exports(session, run)
    compiling = select(RunChunk.number, RunChunk.token).where(
        RunChunk.run_id == run.id, RunChunk.stage == COMPILE, RunChunk.status == ChunkStatus.LEASED
    )
    for number, token in session.execute(compiling).all():
        release_chunk(session, run.id, COMPILE, number, token)


def _addresses(contact: Row[Any]) -> Iterator[Address]:
    elsewhere = (each for text in _texts(contact.extra) for each in addresses_in(text))
    for each in chain((contact.email, *contact.emails), elsewhere):
        address = parse_address(each) if each else None
        if isinstance(address, Address):
            yield address


def addresses_in(text: str) -> Iterator[str]:
    """Find possible addresses in a text: around each @, as much of the word as an address can have."""
    for word in _WORD.finditer(text):
        at = text.find("@", *word.span())
        while at >= 0:
            domain = _DOMAIN.match(text, at + 1, min(word.end(), at + ADDRESS_OCTETS))
            local = text[max(word.start(), at - LOCAL_PART_OCTETS) : at].rpartition("@")[2]
            if domain and local:
                yield f"{local}@{domain[0].rstrip('.-')}"
            at = text.find("@", at + 1, word.end())


def _texts(value: Any) -> Iterator[str]:
    """All texts of a JSON value, including the keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from (name, *_texts(each))
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _person(contact: Row[Any]) -> Person:
    domain = normalise_domain(contact.domain) if contact.domain else None
    return Person(contact.first_name, contact.last_name, contact.full_name, domain or "", contact.company)


def _name(person: Person) -> Name | None:
    return parse_name(first_name=person.first_name, last_name=person.last_name, full_name=person.full_name)
