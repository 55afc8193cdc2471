"""The waterfall: asks one source after the other about a person, until one knows an address."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf
from typing import Protocol

from pipeline.lookup.providers.breaker import CircuitBreaker
from pipeline.lookup.providers.companies import Companies, NoCompanies
from pipeline.lookup.providers.journal import Journal, NoJournal
from pipeline.lookup.providers.metered import StepResult, Unanswered
from pipeline.lookup.providers.source import Found, Person
from pipeline.mail.address.suppression import EmptyList, SuppressionList
from pipeline.mail.outage import Outage
from pipeline.outcomes import Reason


class Step(Protocol):
    """One step of the waterfall. `is_free`: asking costs nothing and leaves the machine alone."""

    @property
    def name(self) -> str:
        """What outcomes call it."""
        ...

    @property
    def is_free(self) -> bool:
        """Whether it is asked also where paying would be a waste."""
        ...

    @property
    def breaker(self) -> CircuitBreaker | None:
        """Its breaker, if it belongs to the outside world."""
        ...

    async def ask(self, person: Person, journal: Journal, left: Decimal | None) -> StepResult | None:
        """Ask about a person who may still cost `left`; None if too little is known about them."""
        ...

    async def close(self) -> None:
        """Close what it holds open."""
        ...


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the sources say about a person.

    `source` names who found it. `said` is each source's word, as the evidence shows it. `missed` is the first source
    that could not say anything, if nobody found anything: the address may be there.
    """

    said: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    found: Found | None = None
    missed: Unanswered | None = None


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The sources of one run, in order. `per_contact` is the most that one person's look-ups may cost in all.

    `suppression_list` is the list of the run's account: it is asked before anybody else.
    """

    steps: Sequence[Step]
    journal: Journal = field(default_factory=NoJournal)
    per_contact: Decimal | None = None
    companies: Companies = field(default_factory=NoCompanies)
    suppression_list: SuppressionList = field(default_factory=EmptyList)

    async def ask(self, person: Person, *, only_free: bool) -> Conclusion:
        """Ask about a person; with `only_free`, only sources that cost nothing."""
        said: dict[str, str] = {}
        missed: list[Unanswered] = []
        left = self.per_contact
        for step in self.steps:
            told = None if only_free and not step.is_free else await step.ask(person, self.journal, left)
            if isinstance(told, Found):
                return Conclusion(said | {step.name: "found"}, step.name, told)
            if isinstance(told, Unanswered):
                said[step.name] = told.reason
                missed.append(told)
            elif told is not None:
                said[step.name] = "not_found"
                left = left and max(left - told.cost, Decimal(0))
        return Conclusion(said, missed=min(missed, key=_urgency, default=None))

    async def domains_of(self, companies: Iterable[str]) -> Mapping[str, str]:
        """The domains of those companies that are known."""
        domains = {company: await self.companies.domain_of(company) for company in companies}
        return {company: domain for company, domain in domains.items() if domain}


NO_SOURCES = Waterfall(())
"""For who asks mail servers only."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What one process knows of sources: shared by all runs that it works."""

    steps: Sequence[Step] = ()
    per_contact: Decimal | None = None
    companies: Companies = field(default_factory=NoCompanies)

    def of_run(self, journal: Journal, suppression_list: SuppressionList | None = None) -> Waterfall:
        """The waterfall of one run; `journal` is that run's, `suppression_list` its account's."""
        return Waterfall(self.steps, journal, self.per_contact, self.companies, suppression_list or EmptyList())

    def outage(self, mail: Outage | None) -> Outage | None:
        """The outage of the whole outside world, given that of mail: none while a source out there may answer.

        A source that rejects our key is named only where it was the last hope: otherwise the contacts that it could
        not be asked about say so, one by one.
        """
        breakers = {step.name: step.breaker for step in self.steps if step.breaker is not None}
        if mail is None or any(not breaker.is_open for breaker in breakers.values()):
            return None
        rejecting = [name for name, breaker in breakers.items() if breaker.reason is Reason.PROVIDER_KEY_REJECTED]
        return _key_rejected(rejecting[0], mail) if rejecting else mail

    async def close(self) -> None:
        """Close all sources."""
        for step in self.steps:
            await step.close()


def _urgency(missed: Unanswered) -> tuple[bool, float]:
    """Those that can be asked later come first, the soonest of them before the others."""
    return not missed.is_temporary, inf if missed.wait is None else missed.wait


def _key_rejected(name: str, mail: Outage) -> Outage:
    return Outage(
        "provider_key_rejected",
        f"The provider {name} rejects our key, and beside it nothing is left to ask: {mail.message} Or correct the"
        " key in the workers' environment, restart them, and retry the run.",
    )
