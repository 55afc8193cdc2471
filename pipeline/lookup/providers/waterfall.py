"""Asks one source after the other about a person, until one knows an address."""

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
    """One source of the waterfall."""

    @property
    def name(self) -> str:
        """Its name in outcomes."""
        ...

    @property
    def is_free(self) -> bool:
        """Whether a question costs nothing and sends no request, so that it is asked in any case."""
        ...

    @property
    def breaker(self) -> CircuitBreaker | None:
        """Its circuit breaker; None if it sends no requests."""
        ...

    async def ask(self, person: Person, journal: Journal, left: Decimal | None) -> StepResult | None:
        """Ask about a person on whom `left` may be spent; None if too little is known about them."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the sources answered about a person.

    `source` is the name of the source that found the address. `answers` holds each source's answer as evidence.
    If no source found an address, `missed` is the most urgent of those without an answer: it may know one.
    """

    answers: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    found: Found | None = None
    missed: Unanswered | None = None


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The sources of one run, in order. `per_contact` is the most that all look-ups of one person may cost.

    `suppression_list` is that of the run's account; it is asked before any source.
    """

    steps: Sequence[Step]
    journal: Journal = field(default_factory=NoJournal)
    per_contact: Decimal | None = None
    companies: Companies = field(default_factory=NoCompanies)
    suppression_list: SuppressionList = field(default_factory=EmptyList)

    async def ask(self, person: Person, *, only_free: bool) -> Conclusion:
        """Ask about a person; with `only_free`, only the sources that cost nothing."""
        answers: dict[str, str] = {}
        missed: list[Unanswered] = []
        left = self.per_contact
        for step in self.steps:
            result = None if only_free and not step.is_free else await step.ask(person, self.journal, left)
            if isinstance(result, Found):
                return Conclusion(answers | {step.name: "found"}, step.name, result)
            if isinstance(result, Unanswered):
                answers[step.name] = result.reason
                missed.append(result)
            elif result is not None:
                answers[step.name] = "not_found"
                left = left and max(left - result.cost, Decimal(0))
        return Conclusion(answers, missed=min(missed, key=_urgency, default=None))

    async def domains_of(self, companies: Iterable[str]) -> Mapping[str, str]:
        """Return the domains of the companies that are known."""
        domains = {company: await self.companies.domain_of(company) for company in companies}
        return {company: domain for company, domain in domains.items() if domain}


NO_SOURCES = Waterfall(())
"""For runs that ask mail servers only."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of one process, shared by all runs that it works."""

    steps: Sequence[Step] = ()
    per_contact: Decimal | None = None
    companies: Companies = field(default_factory=NoCompanies)

    def of_run(self, journal: Journal, suppression_list: SuppressionList | None = None) -> Waterfall:
        """Return the waterfall of one run; `journal` is that run's, `suppression_list` its account's."""
        return Waterfall(self.steps, journal, self.per_contact, self.companies, suppression_list or EmptyList())

    def outage(self, mail: Outage | None) -> Outage | None:
        """Return the outage of everything, given that of mail; None while a source with a breaker may answer.

        A source that rejects our key is named only if it was the last one to ask. Otherwise each contact that it was
        not asked about says so.
        """
        breakers = {step.name: step.breaker for step in self.steps if step.breaker is not None}
        if mail is None or any(not breaker.is_open for breaker in breakers.values()):
            return None
        rejecting = [name for name, breaker in breakers.items() if breaker.reason is Reason.PROVIDER_KEY_REJECTED]
        return _key_rejected(rejecting[0], mail) if rejecting else mail

    async def close(self) -> None:
        for step in self.steps:
            await step.close()


def _urgency(missed: Unanswered) -> tuple[bool, float]:
    """Order those first that can be asked later, the soonest first."""
    return not missed.is_temporary, inf if missed.wait is None else missed.wait


def _key_rejected(name: str, mail: Outage) -> Outage:
    return Outage(
        "provider_key_rejected",
        f"The provider {name} rejects our key, and no other source is left: {mail.message} Or correct the"
        " key in the workers' environment, restart them, and retry the run.",
    )
