"""Asks other sources about contacts whose address the domain's mail server did not show."""

import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass

from pipeline.contacts import Contact
from pipeline.errors import StorageFailed, traced
from pipeline.evidence import Evidence
from pipeline.lookup.providers.metered import Unanswered
from pipeline.lookup.providers.source import Person
from pipeline.lookup.providers.waterfall import Conclusion, Waterfall
from pipeline.mail.config import MailNetworkConfig
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.stages.deferral import may_come_back

log = logging.getLogger(__name__)

FINAL = {Reason.NAME_UNUSABLE, Reason.SYNTAX, Reason.INTERNAL_ERROR, Reason.SUPPRESSED}
NOT_WORTH_PAYING = {
    Reason.NO_SUCH_DOMAIN,
    Reason.NO_MAIL_SERVER,
    Reason.NULL_MX,
    Reason.UNUSABLE_MAIL_HOST,
    Reason.MAILBOX_DISABLED,
}
"""No address there takes mail, so only the user's own directory is asked, which may know another one."""

SHORTEST = 1.0
"""The least seconds of a deferral, so that a provider that keeps asking for none does not keep us busy."""


def came_back_for_sources(contact: Contact) -> bool:
    """Whether a provider deferred the contact: its mail server has answered already, and is not probed again."""
    return contact.deferred_for == Reason.PROVIDER_UNAVAILABLE


def unknown_so_far(contact: Contact) -> Outcome:
    """Return the outcome so far of a contact that was deferred by a provider."""
    return Outcome(contact.position, OutcomeStatus.NOT_FOUND, Reason.UNKNOWN_TO_SOURCES)


def person_of(contact: Contact, domain: str) -> Person:
    """Return the person about whom sources are asked."""
    return Person(contact.first_name, contact.last_name, contact.full_name, domain, contact.company)


@dataclass(frozen=True, slots=True)
class Fallback:
    """Asks the waterfall about what mail servers left open. `domains` are those by position."""

    sources: Waterfall
    contacts: Mapping[int, Contact]
    domains: Mapping[int, str]
    config: MailNetworkConfig

    def step(self, result: Outcome | Deferral) -> Awaitable[Outcome | Deferral] | None:
        """Return a second step for a mail server's result; None if the result stands."""
        if isinstance(result, Deferral) or result.email or result.reason in FINAL:
            return None
        return self._ask(result) if self.sources.steps else None

    async def _ask(self, outcome: Outcome) -> Outcome | Deferral:
        contact = self.contacts[outcome.position]
        try:
            conclusion = await self.sources.ask(self._person(contact), only_free=outcome.reason in NOT_WORTH_PAYING)
        except StorageFailed:
            raise
        except Exception as error:  # noqa: BLE001 - a fault in a source affects only this contact
            log.error("the sources failed for the contact at position %s: %s", outcome.position, traced(error))
            return outcome._replace(reason=Reason.INTERNAL_ERROR)
        return self._defer(contact, conclusion.missed) or _concluded(outcome, conclusion)

    def _person(self, contact: Contact) -> Person:
        return person_of(contact, self.domains.get(contact.position, ""))

    def _defer(self, contact: Contact, missed: Unanswered | None) -> Deferral | None:
        """Defer a contact whose provider may answer later; always, if only our own rate limit delays it."""
        if missed is None or not missed.is_temporary:
            return None
        if missed.ours and missed.wait is not None:
            return Deferral(contact.position, max(missed.wait, SHORTEST), missed.reason)
        if not may_come_back(contact, self.config):
            return None
        seconds = self.config.defer_seconds[contact.deferrals] if missed.wait is None else missed.wait
        return Deferral(contact.position, max(seconds, SHORTEST), missed.reason)


def _concluded(outcome: Outcome, conclusion: Conclusion) -> Outcome:
    evidence = outcome.evidence._replace(sources=conclusion.answers)
    found = conclusion.found
    if found is not None:
        return outcome._replace(
            status=OutcomeStatus.FOUND,
            reason=Reason.PROVIDED,
            email=found.email,
            source=conclusion.source,
            score=found.score,
            evidence=Evidence(mail_server=outcome.reason, sources=conclusion.answers, provided=found.evidence),
        )
    if conclusion.missed is not None:
        evidence = evidence._replace(mail_server=outcome.reason)
        return outcome._replace(reason=conclusion.missed.reason, evidence=evidence)
    return outcome._replace(evidence=evidence)
