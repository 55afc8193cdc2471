"""What a plan will probably find and cost, by what is known of its domains and of the account's earlier runs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.upload import Upload
from models.wire import ContactIn, GoalPlan
from pipeline.contacts import PatternCount
from pipeline.mail.address.lists import Lists
from pipeline.mail.address.syntax import normalise_domain
from pipeline.memory.domain_patterns import known_patterns
from pipeline.uploads.contacts import contacts_by_domain

RUNS = 20
"""The account's latest completed runs of the same preset count."""
USUALLY_FOUND, USUALLY_VERIFIED = 0.75, 0.8
"""The share of contacts with an address, and of those the share that is verified, where nothing is known."""
CONTACTS_OF_DOUBT = 20.0
"""How many contacts of earlier runs the usual shares are worth."""
PEOPLE_OF_DOUBT = 2.0
"""How many people of a domain the account's shares are worth."""
DOMAINS_AT_ONCE = 10_000

EXPERIENCE = text("""
WITH latest AS (
  SELECT id, contact_count, preview -> 'delivered_counts' AS counts FROM runs
  WHERE account_id = :account_id AND preset = :preset AND status = 'completed' ORDER BY created_at DESC LIMIT :runs
)
SELECT coalesce(sum(contact_count), 0) AS contacts,
       coalesce(sum(CAST(counts ->> 'delivered_contacts' AS bigint)), 0) AS with_email,
       coalesce(sum(CAST(counts ->> 'verified_emails' AS bigint)), 0) AS verified,
       (SELECT coalesce(sum(cost), 0) FROM provider_spending WHERE run_id IN (SELECT id FROM latest)) AS cost
FROM latest
""")


@dataclass(frozen=True, slots=True)
class Expectation:
    """How many contacts will have an address, how many a verified one, and what paid look-ups will cost.

    `known_contacts` is how many contacts of earlier runs the cost is derived from.
    """

    with_email: int
    verified: int
    provider_cost: float
    known_contacts: int


@dataclass(frozen=True, slots=True)
class _Experience:
    """The shares and the cost per contact in an account's earlier runs."""

    found: float
    verified: float
    cost: float
    contacts: int


def expect(
    session: Session, account_id: UUID, plan: GoalPlan, upload: Upload | None = None, lists: Lists | None = None
) -> Expectation:
    """Estimate a plan; `upload` has its contacts, if they are in one.

    Those that bring an address have it already. Nobody is looked up at the domains that `lists` call anybody's.
    """
    experience = _experience(session, account_id, plan.preset)
    count = upload.contact_count if upload else len(plan.input_assets.contacts)
    domains = contacts_by_domain(session, upload.id) if upload else _by_domain(plan.input_assets.contacts)
    supplied = count - domains.total()
    with_email, verified = float(supplied), supplied * experience.verified
    for domain in [domain for domain in domains if lists and lists.is_anybodys(domain)]:
        count -= domains.pop(domain)
    for domain, patterns in _patterns(session, list(domains)):
        found, of_them_verified = shares(patterns, experience.found, experience.verified)
        with_email += domains[domain] * found
        verified += domains[domain] * found * of_them_verified
    cost = round(count * experience.cost, 4)
    return Expectation(round(with_email), round(verified), cost, experience.contacts)


def shares(patterns: Sequence[PatternCount], found: float, verified: float) -> tuple[float, float]:
    """The shares that are found and verified at a domain with these patterns, `found` and `verified` being usual.

    Each confirmed count is a person whose address the domain's server confirmed. Of those asked about, at least as many
    were there as one pattern was tried for.
    """
    confirmed = sum(each.confirmed for each in patterns)
    tried = max([confirmed, *(each.confirmed + each.refused for each in patterns)])
    return (
        (confirmed + PEOPLE_OF_DOUBT * found) / (tried + PEOPLE_OF_DOUBT),
        (confirmed + PEOPLE_OF_DOUBT * verified) / (confirmed + PEOPLE_OF_DOUBT),
    )


def _experience(session: Session, account_id: UUID, preset: str) -> _Experience:
    past = session.execute(EXPERIENCE, {"account_id": account_id, "preset": preset, "runs": RUNS}).one()
    contacts, with_email = float(past.contacts), float(past.with_email)
    return _Experience(
        found=(with_email + CONTACTS_OF_DOUBT * USUALLY_FOUND) / (contacts + CONTACTS_OF_DOUBT),
        verified=(float(past.verified) + CONTACTS_OF_DOUBT * USUALLY_VERIFIED) / (with_email + CONTACTS_OF_DOUBT),
        cost=float(past.cost) / contacts if contacts else 0.0,
        contacts=past.contacts,
    )


def _patterns(session: Session, domains: Sequence[str]) -> Iterator[tuple[str, Sequence[PatternCount]]]:
    left = iter(domains)
    while some := list(islice(left, DOMAINS_AT_ONCE)):
        known = known_patterns(session, some)
        for domain in some:
            yield domain, known.get(domain, ())


def _by_domain(contacts: Sequence[ContactIn]) -> Counter[str]:
    return Counter(_domain(contact) for contact in contacts if not contact.email.strip())


def _domain(contact: ContactIn) -> str:
    return normalise_domain(contact.domain) or ""
