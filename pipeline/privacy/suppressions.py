"""An account's suppression list: adding and removing entries, searching them, and suppressing outcomes.

The list holds only hashes. Reads handle a whole batch; an account without a list costs one index look-up.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.suppression import Suppression
from pipeline.errors import InvalidInput
from pipeline.mail.address.suppression import address_digests, domain_digests, is_listed, mailbox_text, sha256_of
from pipeline.mail.address.syntax import Address, normalise_domain, parse_address
from pipeline.outcomes import Outcome, OutcomeStatus, Reason

_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_ALL_OF_A_DOMAIN = re.compile(r"^\s*(?:\*\.|\*?@)")
"""How other lists write a whole domain: `*.example.com`, `@example.com`, `*@example.com`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry: its kind and its hash. `looked_for` are all hashes that match it."""

    kind: str
    sha256: bytes
    looked_for: frozenset[bytes]


def parse_entry(given: str) -> Entry:
    """Read an address, a domain, or a SHA-256 in hexadecimal. Raises `InvalidInput`, without the text."""
    plain = given.strip()
    if _SHA256.fullmatch(plain):
        digest = bytes.fromhex(plain)
        return Entry("hash", digest, frozenset([digest]))
    whole = _ALL_OF_A_DOMAIN.sub("", plain)
    if "@" in whole:
        address = parse_address(whole)
        if isinstance(address, Address):
            digests = frozenset([*address_digests(address), *domain_digests(address.domain)])
            return Entry("address", sha256_of(mailbox_text(address)), digests)
    elif domain := normalise_domain(whole):
        return Entry("domain", sha256_of(domain), frozenset(domain_digests(domain)))
    raise InvalidInput("neither an address, nor a domain, nor a SHA-256 in hexadecimal: correct it, or leave it out")


def entries_of(addresses: Iterable[str], people: Iterable[bytes]) -> Iterator[Entry]:
    """Entries for erased people: their addresses, and the hashes of their names with their domains."""
    yield from map(parse_entry, addresses)
    yield from (Entry("person", digest, frozenset([digest])) for digest in people)


def hides(session: Session, account_id: UUID, person: bytes, email: str) -> bool:
    """Whether an answer must not be kept, because the person or the address is on the list."""
    address = parse_address(email)
    digests = {person, *(_digests(address) if isinstance(address, Address) else ())}
    return bool(among(session, account_id, digests))


def add(session: Session, account_id: UUID, entries: Iterable[Entry]) -> int:
    """Add entries; return how many are new. They are sorted, so that concurrent calls lock rows in one order."""
    kinds = {entry.sha256: entry.kind for entry in entries}
    rows = [{"account_id": account_id, "sha256": digest, "kind": kinds[digest]} for digest in sorted(kinds)]
    if not rows:
        return 0
    new = insert(Suppression).values(rows).on_conflict_do_nothing().returning(Suppression.sha256)
    return len(session.scalars(new).all())


def remove(session: Session, account_id: UUID, entries: Iterable[Entry]) -> int:
    """Take entries off the list; how many were on it."""
    digests = [entry.sha256 for entry in entries]
    gone = delete(Suppression).where(Suppression.account_id == account_id, Suppression.sha256.in_(digests))
    return len(session.scalars(gone.returning(Suppression.sha256)).all())


def check(session: Session, account_id: UUID, entries: Sequence[Entry]) -> list[bool]:
    """Whether each of these would be suppressed: by its own entry, or by that of its domain."""
    wanted = frozenset(digest for entry in entries for digest in entry.looked_for)
    listed = among(session, account_id, wanted)
    return [not entry.looked_for.isdisjoint(listed) for entry in entries]


def page(session: Session, account_id: UUID, after: bytes, limit: int) -> Sequence[Suppression]:
    """Entries in the order of their hashes, after `after`."""
    mine = (Suppression.account_id == account_id, Suppression.sha256 > after)
    return session.scalars(select(Suppression).where(*mine).order_by(Suppression.sha256).limit(limit)).all()


def count(session: Session, account_id: UUID) -> int:
    """How many entries the list has."""
    return session.scalar(select(func.count()).where(Suppression.account_id == account_id)) or 0


def count_by_kind(session: Session, account_id: UUID) -> Mapping[str, int]:
    """How many entries of each kind the list has."""
    mine = select(Suppression.kind, func.count().label("entries")).where(Suppression.account_id == account_id)
    rows = session.execute(mine.group_by(Suppression.kind).order_by(Suppression.kind))
    return {row.kind: row.entries for row in rows}


def among(session: Session, account_id: UUID, digests: Collection[bytes]) -> frozenset[bytes]:
    """Which of these hashes are on the list."""
    return _listed(session, account_id, digests) if digests and _has_list(session, account_id) else frozenset()


def suppress(
    session: Session, account_id: UUID, outcomes: Sequence[Outcome], status: OutcomeStatus
) -> Sequence[Outcome]:
    """Replace outcomes whose address is on the list by ones with this status and without the address.

    Stages check the list before they ask a mail server. This catches addresses from other sources, and entries added
    since.
    """
    if not _has_list(session, account_id):
        return outcomes
    addresses = {outcome.position: parsed for outcome in outcomes if (parsed := _address(outcome))}
    digests = {digest for each in set(addresses.values()) for digest in _digests(each)}
    listed = _listed(session, account_id, digests)
    return [_suppressed(each, status) if _is_listed(addresses, each, listed) else each for each in outcomes]


def _has_list(session: Session, account_id: UUID) -> bool:
    return session.scalar(select(Suppression.sha256).where(Suppression.account_id == account_id).limit(1)) is not None


def _listed(session: Session, account_id: UUID, digests: Collection[bytes]) -> frozenset[bytes]:
    mine = select(Suppression.sha256).where(Suppression.account_id == account_id)
    return frozenset(session.scalars(mine.where(Suppression.sha256 == func.any(list(digests)))))


def _is_listed(addresses: Mapping[int, Address], outcome: Outcome, listed: Collection[bytes]) -> bool:
    address = addresses.get(outcome.position)
    return address is not None and is_listed(address, listed)


def _suppressed(outcome: Outcome, status: OutcomeStatus) -> Outcome:
    return Outcome(outcome.position, status, Reason.SUPPRESSED)


def _address(outcome: Outcome) -> Address | None:
    parsed = parse_address(outcome.email) if outcome.email else None
    return parsed if isinstance(parsed, Address) else None


def _digests(address: Address) -> Iterable[bytes]:
    yield from address_digests(address)
    yield from domain_digests(address.domain)
