"""The look-up of one domain's people: what an earlier run found out, then what the domain's mail server answers."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from pipeline.contacts import Contact, KnownPerson, PatternCount
from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.candidates import Candidate
from pipeline.lookup.patterns.model import PatternModel
from pipeline.lookup.patterns.patterns import count_patterns
from pipeline.lookup.search.conclusions import Finding
from pipeline.lookup.search.recall import person_digest, recall
from pipeline.lookup.search.search import DomainSearch
from pipeline.lookup.search.server import ProbedServer
from pipeline.mail.config import MailNetworkConfig
from pipeline.mail.network import MailNetwork
from pipeline.mail.probe import Prober
from pipeline.outcomes import Deferral, Outcome
from pipeline.stages.by_domain import in_groups
from pipeline.stages.colleagues import Colleagues
from pipeline.stages.deferral import defer, defer_for_dns, defer_once_more, visits_left
from pipeline.stages.lookup_outcomes import found_out, not_found, remembered, suppressed

SHARE_OF_A_SEARCH = 0.25
"""Share of the time limit for one contact after which the people searched for so far get their findings."""


@dataclass(frozen=True, slots=True)
class SuppliedAddress:
    """An address that a contact supplied, and the contact's name if it can be parsed."""

    local_part: str
    name: Name | None


@dataclass(frozen=True, slots=True)
class DomainLookup:
    """The people of one domain who have no address, and what is known about the domain.

    `people` holds the contacts of each person, `names` the name of each contact as it is written. `suppressed` holds,
    by person, the local parts that are on the suppression list: these are not probed. `taken` are addresses of others.
    `known_patterns` and `known_people` come from earlier runs.
    """

    domain: str
    people: Mapping[Name, Sequence[Contact]]
    names: Mapping[int, Name]
    colleagues: Colleagues
    supplied: Sequence[SuppliedAddress]
    suppressed: Mapping[Name, set[str]]
    taken: Iterable[str]
    known_patterns: Sequence[PatternCount]
    known_people: Mapping[bytes, KnownPerson]

    async def run(self, network: MailNetwork) -> AsyncIterator[Outcome | Deferral]:
        """Yield an outcome or a deferral for each contact, in any order."""
        taken, people = self._taken(), dict(self.people)
        for outcome in self._recall(people, taken):
            yield outcome
        if not people:
            return
        with (stopwatch := network.stopwatch()):
            route = await network.route(self.domain)
        if route.problem is not None:
            for contact in chain.from_iterable(people.values()):
                yield defer_for_dns(contact, route, network.config) or not_found(contact, route.problem)
            return
        async with network.conversation(route, stopwatch) as conversation:
            async for result in self._search(people, taken, conversation, network):
                yield result

    async def _search(
        self, people: Mapping[Name, Sequence[Contact]], taken: set[str], conversation: Prober, network: MailNetwork
    ) -> AsyncIterator[Outcome | Deferral]:
        model = PatternModel([*self.known_patterns, *patterns_of(self.supplied)])
        everybody = list(dict.fromkeys([*people, *self.colleagues.people]))
        visits = {
            name: max(visits_left(contact, network.config) for contact in contacts) for name, contacts in people.items()
        }
        remaining = list(people)
        while remaining:
            server = ProbedServer(conversation, network)
            search = DomainSearch(server, model, everybody, taken, visits)
            timed = _TimedSearch(search, self.colleagues, conversation, network.config.contact_timeout)
            async for finding in timed.run(remaining):
                for contact in people.get(finding.name, ()):
                    yield self._result(contact, finding, network.config, may_visit_again=server.was_answered)

    def _result(
        self, contact: Contact, finding: Finding, config: MailNetworkConfig, *, may_visit_again: bool
    ) -> Outcome | Deferral:
        if not finding.candidate:
            deferral = (defer_once_more if may_visit_again else defer)(contact, finding.answer, config)
            if deferral is not None:
                return deferral
        if finding.name in self.suppressed and (not finding.candidate or bool(finding.catch_all)):
            # The address on the list may be this person's.
            return suppressed(contact.position)
        return found_out(contact, self.domain, replace(finding, name=self.names[contact.position]))

    def _recall(self, people: dict[Name, Sequence[Contact]], taken: set[str]) -> Iterator[Outcome]:
        """Yield what an earlier run found out, and drop these people from the search."""
        for name in list(people):
            known, candidate = self._known(people[name])
            if known and (candidate or known.mailbox is None):
                taken |= {candidate.local_part} if candidate else set()
                for contact in people.pop(name):
                    yield remembered(contact, self.domain, known, candidate)

    def _known(self, contacts: Sequence[Contact]) -> tuple[KnownPerson | None, Candidate | None]:
        """What is known of a person by any way in which the name is written."""
        found: KnownPerson | None = None
        for name in dict.fromkeys(self.names[contact.position] for contact in contacts):
            known = self.known_people.get(person_digest(self.domain, name))
            if known and (candidate := recall(known, self.domain, name)):
                return known, candidate
            found = found or known
        return found, None

    def _taken(self) -> set[str]:
        """Return the local parts that are not to be probed: those of others, and those on the suppression list."""
        supplied = {address.local_part for address in self.supplied}
        at_domain = (address for address in self.taken if address.endswith(f"@{self.domain}"))
        others = {address.rpartition("@")[0].lower() for address in at_domain}
        return supplied.union(others, *self.suppressed.values())


@dataclass(frozen=True, slots=True)
class _TimedSearch:
    """A search that ends with the first group if the server is slow.

    The findings must get out before the next group takes its time, or they may be lost with the chunk task's.
    """

    search: DomainSearch
    colleagues: Colleagues
    conversation: Prober
    contact_timeout: float

    async def run(self, remaining: list[Name]) -> AsyncIterator[Finding]:
        """Search for people group by group, then for those who have become worth it; drop them from `remaining`."""
        loop = asyncio.get_running_loop()
        latest = loop.time() + self.contact_timeout * SHARE_OF_A_SEARCH
        for group in self._groups(list(remaining)):
            async for finding in self.search.find(group):
                yield finding
            del remaining[: len(group)]
            if loop.time() > latest and not self.search.has_stopped:
                break
        else:
            async for finding in self._look_again(latest):
                yield finding
        for finding in self.search.decide():
            yield finding

    async def _look_again(self, latest: float) -> AsyncIterator[Finding]:
        """Search for those whom others made worth a probe, and for colleagues who may own what was found."""
        loop = asyncio.get_running_loop()
        while loop.time() <= latest and (again := self.search.look_again()):
            async for finding in self._find(again, latest):
                yield finding
        async for finding in self._find(await self.colleagues.among(self.search.rivals), latest):
            yield finding

    async def _find(self, names: Sequence[Name], latest: float) -> AsyncIterator[Finding]:
        for group in self._groups(names):
            if asyncio.get_running_loop().time() > latest:
                return
            async for finding in self.search.find(group):
                yield finding

    def _groups(self, names: Sequence[Name]) -> Iterator[Sequence[Name]]:
        return in_groups(names, self.conversation, lambda: self.search.probes_each)


def patterns_of(supplied: Iterable[SuppliedAddress]) -> Sequence[PatternCount]:
    """Return the patterns of a domain that the addresses its contacts supplied show together."""
    return count_patterns((each.name, each.local_part) for each in supplied if each.name)
