"""The stage that finds people's work addresses.

Cheapest first: an address that the contact supplied is taken as it is (`email_verify` judges it); what an earlier
run found out lately is used again; otherwise the domain's own mail server is asked about ranked candidates; what that
leaves open is asked of other sources. A contact that brings a company and no domain gets that company's domain.
Contacts of the same name at the same domain are one person to us and get the same address.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from pipeline.contacts import Batch, Contact, PatternCount
from pipeline.lookup.names.parse import Name, parse_name
from pipeline.lookup.patterns.model import PatternModel
from pipeline.lookup.patterns.patterns import count_patterns, recognise
from pipeline.lookup.providers.waterfall import NO_SOURCES, Waterfall
from pipeline.lookup.search.conclusions import Finding
from pipeline.lookup.search.recall import person_digest, recall
from pipeline.lookup.search.search import DomainSearch
from pipeline.mail.address.suppression import SuppressionList
from pipeline.mail.address.syntax import Address, normalise_domain, parse_address
from pipeline.mail.network import MailNetwork
from pipeline.mail.probe import Prober
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.stages.by_domain import in_groups, work_by_domain
from pipeline.stages.colleagues import Colleagues, colleagues_of
from pipeline.stages.deferral import defer, defer_for_dns, defer_once_more, visits_left
from pipeline.stages.falling_back import FallBack, came_back_for_sources, person_of, unknown_so_far
from pipeline.stages.in_parallel import then_in_parallel
from pipeline.stages.looked_up import as_supplied, found_out, not_found, remembered, suppressed
from pipeline.stages.suppressing import Suppressed, read_people

SHARE_OF_A_SEARCH = 0.25
"""Of the time limit for one contact: the time after which a domain's people are decided about, group by group."""


class EmailLookup:
    """Finds an address for each contact, or says why not."""

    async def work(
        self, batch: Batch, network: MailNetwork, sources: Waterfall = NO_SOURCES, /
    ) -> AsyncIterator[Outcome | Deferral]:
        """Yield `found` or `not_found` for each contact, or its deferral."""
        intake = _Intake(await sources.domains_of({each.company for each in batch.contacts if _has_company_only(each)}))
        contacts = {contact.position: contact for contact in batch.contacts}
        fall_back = FallBack(sources, contacts, intake.domain_of, network.config)
        outcomes = await _sorted_out(batch, intake, sources)
        asking = _ask_mail_servers(batch, intake, outcomes, network, sources.suppression_list)
        answers = then_in_parallel(asking, fall_back.step)
        async with aclosing(answers):
            async for answer in answers:
                yield answer


async def _sorted_out(batch: Batch, intake: "_Intake", sources: Waterfall) -> Sequence[Outcome]:
    """What needs no asking; and of the others those leave the intake whom the account must not contact."""
    outcomes = [outcome for contact in batch.contacts if (outcome := intake.take(contact))]
    intake.suppressed = await read_people(
        sources.suppression_list, intake.addresses.values(), intake.people_asked_about()
    )
    left_out = intake.leave_out(batch.known_patterns)
    return [*(each for each in outcomes if each.position not in left_out), *map(suppressed, left_out)]


async def _ask_mail_servers(
    batch: Batch,
    intake: "_Intake",
    outcomes: Sequence[Outcome],
    network: MailNetwork,
    suppression_list: SuppressionList,
) -> AsyncGenerator[Outcome | Deferral, None]:
    """The cheap front: what contacts supplied, and what the domains' own servers say."""
    for outcome in outcomes:
        yield outcome

    colleagues = colleagues_of(batch)

    def look_up(domain: str, contacts: Sequence[Contact]) -> AsyncIterator[Outcome | Deferral]:
        people = intake.people(contacts)
        suppressed_parts = intake.suppressed.local_parts(people, domain)
        supplied, others = intake.supplied.get(domain, ()), Colleagues(colleagues.get(domain, {}), suppression_list)
        return _look_up(domain, people, supplied, others, suppressed_parts, batch, network)

    at_once = network.config.conversations
    answers = work_by_domain(intake.domains, look_up, at_once=at_once, on_fault=OutcomeStatus.NOT_FOUND)
    async with aclosing(answers):
        async for answer in answers:
            yield answer


@dataclass(frozen=True, slots=True)
class _Supplied:
    """An address that a contact supplied, and the contact's name, if it can be read."""

    local_part: str
    name: Name | None


@dataclass(slots=True)
class _Intake:
    """Sorts a batch: what is settled without asking, and what is to be looked up, by domain."""

    companies: Mapping[str, str]
    domains: dict[str, list[Contact]] = field(default_factory=dict)
    domain_of: dict[int, str] = field(default_factory=dict)
    supplied: dict[str, list[_Supplied]] = field(default_factory=dict)
    addresses: dict[int, Address] = field(default_factory=dict)
    suppressed: Suppressed = field(default_factory=Suppressed)
    _digests: dict[int, bytes] = field(default_factory=dict)
    _names: dict[int, Name] = field(default_factory=dict)
    _domain_names: dict[str, str | None] = field(default_factory=dict)

    def take(self, contact: Contact) -> Outcome | None:
        """Take in a contact; its outcome, if it needs no looking up."""
        name = parse_name(first_name=contact.first_name, last_name=contact.last_name, full_name=contact.full_name)
        address = parse_address(contact.email) if contact.email else None
        if isinstance(address, Address):
            return self._add_supplied(contact, address, name)
        domain = self._domain(contact)
        if domain is None:
            return not_found(contact, _without_domain(contact))
        if name is None:
            return not_found(contact, Reason.NAME_UNUSABLE)
        self.domain_of[contact.position] = domain
        self._names[contact.position] = name
        self._digests[contact.position] = person_of(contact, domain).digest
        if came_back_for_sources(contact):
            return unknown_so_far(contact)
        self.domains.setdefault(domain, []).append(contact)
        return None

    def people_asked_about(self) -> Iterator[tuple[Name, str, bytes]]:
        """Name, domain and the hash of both, of everybody who is to be looked up."""
        for position, domain in self.domain_of.items():
            yield self._names[position], domain, self._digests[position]

    def leave_out(self, known: Mapping[str, Sequence[PatternCount]]) -> set[int]:
        """Drop whom the account must not contact: nobody is asked about them, no name server either."""
        if not self.suppressed.listed:
            return set()
        suppressed = {position for position, address in self.addresses.items() if self.suppressed.has(address)}
        domains = set(self.domain_of.values())
        patterns = {each: [*known.get(each, ()), *_patterns_of(self.supplied.get(each, ()))] for each in domains}
        for position, domain in self.domain_of.items():
            person = self._names[position], domain, self._digests[position], patterns[domain]
            if self.suppressed.has_person(*person):
                suppressed.add(position)
        for domain, contacts in list(self.domains.items()):
            self.domains[domain] = [contact for contact in contacts if contact.position not in suppressed]
            if not self.domains[domain]:
                del self.domains[domain]
        return suppressed

    def people(self, contacts: Sequence[Contact]) -> dict[Name, list[Contact]]:
        """Bring the contacts of one person together."""
        people: dict[Name, list[Contact]] = {}
        for contact in contacts:
            people.setdefault(self._names[contact.position], []).append(contact)
        return people

    def _add_supplied(self, contact: Contact, address: Address, name: Name | None) -> Outcome:
        self.addresses[contact.position] = address
        pattern = recognise(address.local, name) if name else None
        self.supplied.setdefault(address.domain, []).append(_Supplied(address.local.lower(), name))
        return as_supplied(contact, address, pattern)

    def _domain(self, contact: Contact) -> str | None:
        if _has_company_only(contact):
            return self.companies.get(contact.company)
        if contact.domain not in self._domain_names:
            self._domain_names[contact.domain] = normalise_domain(contact.domain)
        return self._domain_names[contact.domain]


def _has_company_only(contact: Contact) -> bool:
    """Whether the company's domain is to be found out."""
    return bool(contact.company.strip()) and not contact.domain.strip() and not contact.email


def _without_domain(contact: Contact) -> Reason:
    if _has_company_only(contact):
        return Reason.COMPANY_UNKNOWN
    return Reason.SYNTAX if contact.email else Reason.DOMAIN_UNUSABLE


async def _look_up(
    domain: str,
    people: dict[Name, list[Contact]],
    supplied: Sequence[_Supplied],
    colleagues: Colleagues,
    suppressed_parts: Mapping[Name, set[str]],
    batch: Batch,
    network: MailNetwork,
) -> AsyncIterator[Outcome | Deferral]:
    """Look for one domain's people: those who are known, then the others, group by group."""
    taken = {colleague.local_part for colleague in supplied} | _local_parts(batch.taken, domain)
    taken = taken.union(*suppressed_parts.values())
    for outcome in _recall_people(domain, people, batch, taken):
        yield outcome
    if not people:
        return
    with (stopwatch := network.stopwatch()):
        route = await network.route(domain)
    if route.problem is not None:
        for contact in (contact for contacts in people.values() for contact in contacts):
            yield defer_for_dns(contact, route, network.config) or not_found(contact, route.problem)
        return
    model = PatternModel([*batch.known_patterns.get(domain, ()), *_patterns_of(supplied)])
    coming_back = {
        name: max(visits_left(contact, network.config) for contact in contacts) for name, contacts in people.items()
    }
    async with network.conversation(route, stopwatch) as conversation:
        remaining = list(people)
        while remaining:
            search = DomainSearch(
                conversation, network, model, list(dict.fromkeys([*people, *colleagues.people])), taken, coming_back
            )
            async for finding in _find(search, remaining, colleagues, conversation, network.config.contact_timeout):
                wait = defer_once_more if search.was_answered else defer
                for contact in people.get(finding.name, ()):
                    deferral = None if finding.candidate else wait(contact, finding.answer, network.config)
                    yield deferral or _concluded(contact, domain, finding, suppressed_parts)


async def _find(
    search: DomainSearch, remaining: list[Name], colleagues: Colleagues, conversation: Prober, contact_timeout: float
) -> AsyncIterator[Finding]:
    """Seek people group by group, and then those who have become worth it.

    At a slow server only the first of the `remaining`: what was found about them is to be told before the next group
    takes its time, or it may be lost with the chunk task's time.
    """
    loop = asyncio.get_running_loop()
    latest = loop.time() + contact_timeout * SHARE_OF_A_SEARCH
    for group in in_groups(list(remaining), conversation, lambda: search.probes_each):
        async for finding in search.find(group):
            yield finding
        del remaining[: len(group)]
        if loop.time() > latest and not search.has_stopped:
            break
    else:
        async for finding in _look_again(search, colleagues, conversation, latest):
            yield finding
    for finding in search.decide():
        yield finding


async def _look_again(
    search: DomainSearch, colleagues: Colleagues, conversation: Prober, latest: float
) -> AsyncIterator[Finding]:
    """Seek those whom the others have made worth it, and those colleagues who may own what was found."""
    loop = asyncio.get_running_loop()

    async def seek(names: Sequence[Name]) -> AsyncIterator[Finding]:
        for group in in_groups(names, conversation, lambda: search.probes_each):
            if loop.time() > latest:
                return
            async for finding in search.find(group):
                yield finding

    while loop.time() <= latest and (again := search.worth_another_look):
        async for finding in seek(again):
            yield finding
    async for finding in seek(await colleagues.among(search.rivals)):
        yield finding


def _local_parts(addresses: Iterable[str], domain: str) -> set[str]:
    return {address.rpartition("@")[0].lower() for address in addresses if address.endswith(f"@{domain}")}


def _patterns_of(supplied: Sequence[_Supplied]) -> Sequence[PatternCount]:
    """What the addresses that contacts supplied show together about their domain."""
    return count_patterns((each.name, each.local_part) for each in supplied if each.name)


def _recall_people(domain: str, people: dict[Name, list[Contact]], batch: Batch, taken: set[str]) -> Iterator[Outcome]:
    """Say what an earlier run found out, and take those people and their local parts out of the search."""
    for name in list(people):
        known = batch.known_people.get(person_digest(domain, name))
        candidate = recall(known, domain, name) if known else None
        if known and (candidate or known.mailbox is None):
            taken |= {candidate.local_part} if candidate else set()
            for contact in people.pop(name):
                yield remembered(contact, domain, known, candidate)


def _concluded(contact: Contact, domain: str, finding: Finding, suppressed_parts: Collection[Name]) -> Outcome:
    is_theirs = finding.name in suppressed_parts and (not finding.candidate or bool(finding.catch_all))
    return suppressed(contact.position) if is_theirs else found_out(contact, domain, finding)
