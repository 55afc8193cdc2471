"""The stage that finds people's work addresses.

Cheapest first: an address that the contact brought is taken as it is (`email_verify` judges it); what an earlier
run found out lately is used again; otherwise the domain's own mail server is asked about ranked candidates; what that
leaves open is asked of other sources. A contact that brings a company and no domain gets that company's domain.
Contacts of the same name at the same domain are one person to us and get the same address.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from pipeline.lookup.names.parse import Name, parse_name
from pipeline.lookup.patterns.model import PatternBelief
from pipeline.lookup.patterns.patterns import count_patterns, recognise
from pipeline.lookup.providers.waterfall import NO_SOURCES, Waterfall
from pipeline.lookup.search.conclusions import Finding
from pipeline.lookup.search.recall import person_digest, recall
from pipeline.lookup.search.search import DomainSearch
from pipeline.mail.address.suppression import DoNotContact
from pipeline.mail.address.syntax import Address, normalise_domain, parse_address
from pipeline.mail.network import MailNetwork
from pipeline.mail.probe import Enquiry
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.records import Batch, PatternCount, Record
from pipeline.stages.by_domain import in_groups, work_by_domain
from pipeline.stages.colleagues import Colleagues, colleagues_of
from pipeline.stages.deferral import put_off, put_off_for_dns, put_off_once_more, visits_left
from pipeline.stages.falling_back import FallBack, came_back_for_sources, person_of, unknown_so_far
from pipeline.stages.in_parallel import then_in_parallel
from pipeline.stages.looked_up import as_brought, found_out, not_found, remembered, suppressed
from pipeline.stages.withholding import Withheld, read_people

SHARE_OF_A_SEARCH = 0.25
"""Of the time limit for one record: the time after which a domain's people are decided about, group by group."""


class EmailLookup:
    """Finds an address for each record, or says why not."""

    async def work(
        self, batch: Batch, network: MailNetwork, sources: Waterfall = NO_SOURCES, /
    ) -> AsyncIterator[Outcome | Deferral]:
        """Yield `found` or `not_found` for each record, or its deferral."""
        intake = _Intake(await sources.domains_of({each.company for each in batch.records if _has_company_only(each)}))
        records = {record.position: record for record in batch.records}
        fall_back = FallBack(sources, records, intake.domain_of, network.config)
        outcomes = await _taken_in(batch, intake, sources)
        asking = _ask_mail_servers(batch, intake, outcomes, network, sources.do_not_contact)
        answers = then_in_parallel(asking, fall_back.step)
        async with aclosing(answers):
            async for answer in answers:
                yield answer


async def _taken_in(batch: Batch, intake: "_Intake", sources: Waterfall) -> Sequence[Outcome]:
    """What needs no asking; and of the others those leave the intake whom the account must not contact."""
    outcomes = [outcome for record in batch.records if (outcome := intake.take(record))]
    intake.withheld = await read_people(sources.do_not_contact, intake.addresses.values(), intake.people_asked_about())
    withheld = intake.leave_out(batch.known_patterns)
    return [*(each for each in outcomes if each.position not in withheld), *map(suppressed, withheld)]


async def _ask_mail_servers(
    batch: Batch,
    intake: "_Intake",
    outcomes: Sequence[Outcome],
    network: MailNetwork,
    do_not_contact: DoNotContact,
) -> AsyncGenerator[Outcome | Deferral, None]:
    """The cheap front: what contacts brought, and what the domains' own servers say."""
    for outcome in outcomes:
        yield outcome

    colleagues = colleagues_of(batch)

    def look_up(domain: str, records: Sequence[Record]) -> AsyncIterator[Outcome | Deferral]:
        people = intake.people(records)
        not_asked = intake.withheld.local_parts(people, domain)
        brought, others = intake.brought.get(domain, ()), Colleagues(colleagues.get(domain, {}), do_not_contact)
        return _look_up(domain, people, brought, others, not_asked, batch, network)

    at_once = network.config.conversations
    answers = work_by_domain(intake.domains, look_up, at_once=at_once, on_fault=OutcomeStatus.NOT_FOUND)
    async with aclosing(answers):
        async for answer in answers:
            yield answer


@dataclass(frozen=True, slots=True)
class _Brought:
    """An address that a contact brought, and the contact's name, if it can be read."""

    local_part: str
    name: Name | None


@dataclass(slots=True)
class _Intake:
    """Sorts a batch: what is settled without asking, and what is to be looked up, by domain."""

    companies: Mapping[str, str]
    domains: dict[str, list[Record]] = field(default_factory=dict)
    domain_of: dict[int, str] = field(default_factory=dict)
    brought: dict[str, list[_Brought]] = field(default_factory=dict)
    addresses: dict[int, Address] = field(default_factory=dict)
    withheld: Withheld = field(default_factory=Withheld)
    _digests: dict[int, bytes] = field(default_factory=dict)
    _names: dict[int, Name] = field(default_factory=dict)
    _domain_names: dict[str, str | None] = field(default_factory=dict)

    def take(self, record: Record) -> Outcome | None:
        """Take in a record; its outcome, if it needs no looking up."""
        name = parse_name(first_name=record.first_name, last_name=record.last_name, full_name=record.full_name)
        address = parse_address(record.email) if record.email else None
        if isinstance(address, Address):
            return self._take_brought(record, address, name)
        domain = self._domain(record)
        if domain is None:
            return not_found(record, _without_domain(record))
        if name is None:
            return not_found(record, Reason.NAME_UNUSABLE)
        self.domain_of[record.position] = domain
        self._names[record.position] = name
        self._digests[record.position] = person_of(record, domain).digest
        if came_back_for_sources(record):
            return unknown_so_far(record)
        self.domains.setdefault(domain, []).append(record)
        return None

    def people_asked_about(self) -> Iterator[tuple[Name, str, bytes]]:
        """Name, domain and the hash of both, of everybody who is to be looked up."""
        for position, domain in self.domain_of.items():
            yield self._names[position], domain, self._digests[position]

    def leave_out(self, known: Mapping[str, Sequence[PatternCount]]) -> set[int]:
        """Drop whom the account must not contact: nobody is asked about them, no name server either."""
        if not self.withheld.listed:
            return set()
        withheld = {position for position, address in self.addresses.items() if self.withheld.has(address)}
        domains = set(self.domain_of.values())
        patterns = {each: [*known.get(each, ()), *_patterns_of(self.brought.get(each, ()))] for each in domains}
        for position, domain in self.domain_of.items():
            person = self._names[position], domain, self._digests[position], patterns[domain]
            if self.withheld.has_person(*person):
                withheld.add(position)
        for domain, records in list(self.domains.items()):
            self.domains[domain] = [record for record in records if record.position not in withheld]
            if not self.domains[domain]:
                del self.domains[domain]
        return withheld

    def people(self, records: Sequence[Record]) -> dict[Name, list[Record]]:
        """Bring the records of one person together."""
        people: dict[Name, list[Record]] = {}
        for record in records:
            people.setdefault(self._names[record.position], []).append(record)
        return people

    def _take_brought(self, record: Record, address: Address, name: Name | None) -> Outcome:
        self.addresses[record.position] = address
        pattern = recognise(address.local, name) if name else None
        self.brought.setdefault(address.domain, []).append(_Brought(address.local.lower(), name))
        return as_brought(record, address, pattern)

    def _domain(self, record: Record) -> str | None:
        if _has_company_only(record):
            return self.companies.get(record.company)
        if record.domain not in self._domain_names:
            self._domain_names[record.domain] = normalise_domain(record.domain)
        return self._domain_names[record.domain]


def _has_company_only(record: Record) -> bool:
    """Whether the company's domain is to be found out."""
    return bool(record.company.strip()) and not record.domain.strip() and not record.email


def _without_domain(record: Record) -> Reason:
    if _has_company_only(record):
        return Reason.COMPANY_UNKNOWN
    return Reason.SYNTAX if record.email else Reason.DOMAIN_UNUSABLE


async def _look_up(
    domain: str,
    people: dict[Name, list[Record]],
    brought: Sequence[_Brought],
    colleagues: Colleagues,
    not_asked: Mapping[Name, set[str]],
    batch: Batch,
    network: MailNetwork,
) -> AsyncIterator[Outcome | Deferral]:
    """Look for one domain's people: those who are known, then the others, group by group."""
    taken = {colleague.local_part for colleague in brought} | _local_parts(batch.taken, domain)
    taken = taken.union(*not_asked.values())
    for outcome in _recall_people(domain, people, batch, taken):
        yield outcome
    if not people:
        return
    with (stopwatch := network.stopwatch()):
        route = await network.route(domain)
    if route.problem is not None:
        for record in (record for records in people.values() for record in records):
            yield put_off_for_dns(record, route, network.config) or not_found(record, route.problem)
        return
    belief = PatternBelief([*batch.known_patterns.get(domain, ()), *_patterns_of(brought)])
    coming_back = {
        name: max(visits_left(record, network.config) for record in records) for name, records in people.items()
    }
    async with network.conversation(route, stopwatch) as conversation:
        unsought = list(people)
        while unsought:
            search = DomainSearch(
                conversation, network, belief, list(dict.fromkeys([*people, *colleagues.people])), taken, coming_back
            )
            async for finding in _find(search, unsought, colleagues, conversation, network.config.record_timeout):
                wait = put_off_once_more if search.was_told_something else put_off
                for record in people.get(finding.name, ()):
                    deferral = None if finding.candidate else wait(record, finding.answer, network.config)
                    yield deferral or _concluded(record, domain, finding, not_asked)


async def _find(
    search: DomainSearch, unsought: list[Name], colleagues: Colleagues, conversation: Enquiry, record_timeout: float
) -> AsyncIterator[Finding]:
    """Seek people group by group, and then those who have become worth it.

    At a slow server only the first of the `unsought`: what was found about them is to be told before the next group
    takes its time, or it may be lost with the chunk task's time.
    """
    loop = asyncio.get_running_loop()
    latest = loop.time() + record_timeout * SHARE_OF_A_SEARCH
    for group in in_groups(list(unsought), conversation, lambda: search.questions_each):
        async for finding in search.find(group):
            yield finding
        del unsought[: len(group)]
        if loop.time() > latest and not search.has_stopped:
            break
    else:
        async for finding in _look_again(search, colleagues, conversation, latest):
            yield finding
    for finding in search.decide():
        yield finding


async def _look_again(
    search: DomainSearch, colleagues: Colleagues, conversation: Enquiry, latest: float
) -> AsyncIterator[Finding]:
    """Seek those whom the others have made worth it, and those colleagues who may own what was found."""
    loop = asyncio.get_running_loop()

    async def seek(names: Sequence[Name]) -> AsyncIterator[Finding]:
        for group in in_groups(names, conversation, lambda: search.questions_each):
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


def _patterns_of(brought: Sequence[_Brought]) -> Sequence[PatternCount]:
    """What the addresses that contacts brought show together about their domain."""
    return count_patterns((each.name, each.local_part) for each in brought if each.name)


def _recall_people(domain: str, people: dict[Name, list[Record]], batch: Batch, taken: set[str]) -> Iterator[Outcome]:
    """Say what an earlier run found out, and take those people and their local parts out of the search."""
    for name in list(people):
        known = batch.known_people.get(person_digest(domain, name))
        candidate = recall(known, domain, name) if known else None
        if known and (candidate or known.mailbox is None):
            taken |= {candidate.local_part} if candidate else set()
            for record in people.pop(name):
                yield remembered(record, domain, known, candidate)


def _concluded(record: Record, domain: str, finding: Finding, not_asked: Collection[Name]) -> Outcome:
    is_theirs = finding.name in not_asked and (not finding.candidate or bool(finding.catch_all))
    return suppressed(record.position) if is_theirs else found_out(record, domain, finding)
