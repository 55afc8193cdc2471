"""The stage that finds people's work addresses.

The cheapest way comes first. An address that the contact supplied is taken as it is: `email_verify` judges it. What an
earlier run found out recently is used again. Otherwise the domain's own mail server is probed for ranked candidates,
and other sources are asked about what it leaves open. A contact with a company and no domain gets that company's
domain. Contacts of the same name at the same domain, in whatever order and with whatever titles, count as one person
and get the same address.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from pipeline.contacts import Batch, Contact, PatternCount
from pipeline.lookup.names.parse import Name, of_one_person, parse_name
from pipeline.lookup.names.same_person import same_words
from pipeline.lookup.patterns.patterns import recognise
from pipeline.lookup.providers.source import Person
from pipeline.lookup.providers.waterfall import NO_SOURCES, Waterfall
from pipeline.mail.address.lists import Lists
from pipeline.mail.address.suppression import SuppressionList
from pipeline.mail.address.syntax import Address, normalise_domain, parse_address
from pipeline.mail.network import MailNetwork
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.stages.by_domain import work_by_domain
from pipeline.stages.colleagues import Colleagues, colleagues_of
from pipeline.stages.domain_lookup import DomainLookup, SuppliedAddress, patterns_of
from pipeline.stages.fallback import Fallback, came_back_for_sources, person_of, unknown_so_far
from pipeline.stages.in_parallel import then_in_parallel
from pipeline.stages.lookup_outcomes import as_supplied, not_found, suppressed
from pipeline.stages.mail_domains import mail_domains
from pipeline.stages.suppressed import Suppressed, read_people


class EmailLookup:
    """Finds an address for each contact, or says why there is none."""

    async def work(
        self, batch: Batch, network: MailNetwork, sources: Waterfall = NO_SOURCES, /
    ) -> AsyncIterator[Outcome | Deferral]:
        """Yield `found` or `not_found` for each contact, or its deferral."""
        intake = await _take_in(batch, network, sources)
        contacts = {contact.position: contact for contact in batch.contacts}
        asked_as = intake.asked_as(contacts) if sources.steps else contacts
        fallback = Fallback(sources, asked_as, intake.domain_of, network.config)
        results = then_in_parallel(_without_sources(intake, batch, network, sources.suppression_list), fallback.step)
        async with aclosing(results):
            async for result in results:
                yield result


async def _take_in(batch: Batch, network: MailNetwork, sources: Waterfall) -> "_Intake":
    companies = {contact.company for contact in batch.contacts if _has_company_only(contact)}
    intake = _Intake(await sources.domains_of(companies), network.lists)
    for contact in batch.contacts:
        intake.add(contact)
    await _suppress(intake, batch, sources.suppression_list)
    # Only now, since no name server is asked about anybody on the suppression list.
    if moved := await mail_domains(intake.domains, network):
        intake.move(moved)
        await _suppress(intake, batch, sources.suppression_list)
    return intake


async def _suppress(intake: "_Intake", batch: Batch, suppression_list: SuppressionList) -> None:
    listed = await read_people(suppression_list, intake.addresses.values(), intake.hashed_people())
    intake.suppress(listed, batch.known_patterns)


async def _without_sources(
    intake: "_Intake", batch: Batch, network: MailNetwork, suppression_list: SuppressionList
) -> AsyncGenerator[Outcome | Deferral, None]:
    """Yield what needs no look-up, then what the domains' own mail servers answer."""
    for outcome in intake.outcomes.values():
        yield outcome

    colleagues = colleagues_of(batch)

    def look_up(domain: str, contacts: Sequence[Contact]) -> AsyncIterator[Outcome | Deferral]:
        people = intake.people(contacts)
        return DomainLookup(
            domain,
            people,
            names=intake.names(contacts),
            colleagues=Colleagues(colleagues.get(domain, {}), suppression_list),
            supplied=intake.supplied.get(domain, ()),
            suppressed=intake.suppressed.local_parts(people, domain),
            taken=batch.taken,
            known_patterns=batch.known_patterns.get(domain, ()),
            known_people=batch.known_people,
        ).run(network)

    at_once = network.config.conversations
    results = work_by_domain(intake.domains, look_up, at_once=at_once, on_fault=OutcomeStatus.NOT_FOUND)
    async with aclosing(results):
        async for result in results:
            yield result


@dataclass(slots=True)
class _Intake:
    """Sorts a batch into outcomes that need no look-up, and contacts to look up, by domain.

    `companies` are the known domains of companies, `lists` say which domains are nobody's. `domain_of` holds the
    domain of each contact without an address.
    """

    companies: Mapping[str, str]
    lists: Lists
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    domains: dict[str, list[Contact]] = field(default_factory=dict)
    domain_of: dict[int, str] = field(default_factory=dict)
    supplied: dict[str, list[SuppliedAddress]] = field(default_factory=dict)
    addresses: dict[int, Address] = field(default_factory=dict)
    suppressed: Suppressed = field(default_factory=Suppressed)
    _people: dict[int, Person] = field(default_factory=dict)
    _names: dict[int, Name] = field(default_factory=dict)
    _words: dict[int, str] = field(default_factory=dict)
    _domain_names: dict[str, str | None] = field(default_factory=dict)

    def add(self, contact: Contact) -> None:
        if (outcome := self._sort(contact)) is not None:
            self.outcomes[contact.position] = outcome

    def hashed_people(self) -> Iterator[tuple[Name, str, bytes]]:
        """Yield the name, the domain and the hash of both for everybody without an address."""
        for position, domain in self.domain_of.items():
            yield self._names[position], domain, self._people[position].digest

    def suppress(self, listed: Suppressed, known: Mapping[str, Sequence[PatternCount]]) -> None:
        """Give contacts on the suppression list their outcome: no mail server or name server is asked about them."""
        self.suppressed = listed
        if not listed.listed:
            return
        positions = {position for position, address in self.addresses.items() if listed.has(address)}
        domains = set(self.domain_of.values())
        patterns = {each: [*known.get(each, ()), *patterns_of(self.supplied.get(each, ()))] for each in domains}
        for position, domain in self.domain_of.items():
            person = self._names[position], domain, self._people[position].digest, patterns[domain]
            if listed.has_person(*person):
                positions.add(position)
        positions |= self._same_people(positions)
        self.outcomes |= {position: suppressed(position) for position in positions}
        left = {
            domain: [contact for contact in contacts if contact.position not in positions]
            for domain, contacts in self.domains.items()
        }
        self.domains = {domain: contacts for domain, contacts in left.items() if contacts}

    def move(self, domains: Mapping[str, str]) -> None:
        """Have the people of some domains looked up at others."""
        for domain, other in domains.items():
            contacts = self.domains.pop(domain)
            self.domains.setdefault(other, []).extend(contacts)
            for contact in contacts:
                self.domain_of[contact.position] = other
                self._people[contact.position] = person_of(contact, other)

    def people(self, contacts: Sequence[Contact]) -> dict[Name, list[Contact]]:
        """Group contacts of one domain by person."""
        same: dict[str, list[Contact]] = {}
        for contact in contacts:
            same.setdefault(self._words[contact.position], []).append(contact)
        people: dict[Name, list[Contact]] = {}
        for group in same.values():
            name = of_one_person([self._names[contact.position] for contact in group])
            people.setdefault(name, []).extend(group)
        return people

    def names(self, contacts: Sequence[Contact]) -> Mapping[int, Name]:
        """The name of each contact as it is written."""
        return {contact.position: self._names[contact.position] for contact in contacts}

    def asked_as(self, contacts: Mapping[int, Contact]) -> Mapping[int, Contact]:
        """The contacts with the names by which other sources are asked: those of the first one of the same person."""
        first: dict[tuple[str, str], Contact] = {}
        asked = dict(contacts)
        for position, domain in self.domain_of.items():
            other = first.setdefault((domain, self._words[position]), contacts[position])
            asked[position] = contacts[position]._replace(
                first_name=other.first_name, last_name=other.last_name, full_name=other.full_name, company=other.company
            )
        return asked

    def _same_people(self, positions: Collection[int]) -> set[int]:
        """The contacts of the people of these."""
        people = {(self.domain_of[each], self._words[each]) for each in positions if each in self.domain_of}
        return {each for each, domain in self.domain_of.items() if (domain, self._words[each]) in people}

    def _sort(self, contact: Contact) -> Outcome | None:
        """Return the outcome of a contact that needs no look-up; None if it is to be looked up."""
        name = parse_name(first_name=contact.first_name, last_name=contact.last_name, full_name=contact.full_name)
        address = parse_address(contact.email) if contact.email else None
        if isinstance(address, Address):
            return self._keep_supplied(contact, address, name)
        domain = self._domain(contact)
        if domain is None:
            return not_found(contact, _without_domain(contact))
        if self.lists.is_anybodys(domain):
            return not_found(contact, Reason.NOT_A_COMPANY_DOMAIN)
        if name is None:
            return not_found(contact, Reason.NAME_UNUSABLE)
        self.domain_of[contact.position] = domain
        self._names[contact.position] = name
        self._words[contact.position] = same_words(contact.first_name, contact.last_name, contact.full_name)
        self._people[contact.position] = person_of(contact, domain)
        if came_back_for_sources(contact):
            return unknown_so_far(contact)
        self.domains.setdefault(domain, []).append(contact)
        return None

    def _keep_supplied(self, contact: Contact, address: Address, name: Name | None) -> Outcome:
        self.addresses[contact.position] = address
        self.supplied.setdefault(address.domain, []).append(SuppliedAddress(address.local.lower(), name))
        return as_supplied(contact, address, recognise(address.local, name) if name else None)

    def _domain(self, contact: Contact) -> str | None:
        if _has_company_only(contact):
            return self.companies.get(contact.company)
        if contact.domain not in self._domain_names:
            self._domain_names[contact.domain] = normalise_domain(contact.domain)
        return self._domain_names[contact.domain]


def _has_company_only(contact: Contact) -> bool:
    """Whether the contact's domain is to be found by its company."""
    return bool(contact.company.strip()) and not contact.domain.strip() and not contact.email


def _without_domain(contact: Contact) -> Reason:
    if _has_company_only(contact):
        return Reason.COMPANY_UNKNOWN
    return Reason.SYNTAX if contact.email else Reason.DOMAIN_UNUSABLE
