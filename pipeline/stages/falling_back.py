"""What becomes of a contact whose address its domain's mail server did not settle: the other sources are asked."""

import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass

from pipeline.contacts import Contact
from pipeline.errors import traced
from pipeline.evidence import Evidence
from pipeline.lookup.providers.metered import Unanswered
from pipeline.lookup.providers.source import Person
from pipeline.lookup.providers.waterfall import Conclusion, Waterfall
from pipeline.mail.config import MailNetworkConfig
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.stages.deferral import may_come_back

log = logging.getLogger(__name__)

NOBODY_CAN_HELP = {Reason.NAME_UNUSABLE, Reason.SYNTAX, Reason.INTERNAL_ERROR, Reason.SUPPRESSED}
NOT_WORTH_PAYING = {
    Reason.NO_SUCH_DOMAIN,
    Reason.NO_MAIL_SERVER,
    Reason.NULL_MX,
    Reason.UNUSABLE_MAIL_HOST,
    Reason.MAILBOX_DISABLED,
}
"""No address there would take mail, so only the user's own directory is asked: it may know another one."""

SHORTEST = 1.0
"""Seconds that a deferral takes at least: a provider that says "at once" again and again must not keep us busy."""


def came_back_for_sources(contact: Contact) -> bool:
    """Whether the contact was put off by a provider: its mail server has had its say, and is not asked again."""
    return contact.deferred_for == Reason.PROVIDER_UNAVAILABLE


def unknown_so_far(contact: Contact) -> Outcome:
    """What is known of a contact that came back for its sources."""
    return Outcome(contact.position, OutcomeStatus.NOT_FOUND, Reason.UNKNOWN_TO_SOURCES)


def person_of(contact: Contact, domain: str) -> Person:
    """Whom sources are asked about."""
    return Person(contact.first_name, contact.last_name, contact.full_name, domain, contact.company)


@dataclass(frozen=True, slots=True)
class FallBack:
    """Asks the waterfall about what mail servers left open. `domains` are those of companies without one."""

    sources: Waterfall
    contacts: Mapping[int, Contact]
    domains: Mapping[int, str]
    config: MailNetworkConfig

    def step(self, answer: Outcome | Deferral) -> Awaitable[Outcome | Deferral] | None:
        """What becomes of a mail server's answer; None where it stands as it is."""
        if isinstance(answer, Deferral) or answer.email or answer.reason in NOBODY_CAN_HELP:
            return None
        return self._ask(answer) if self.sources.steps else None

    async def _ask(self, outcome: Outcome) -> Outcome | Deferral:
        contact = self.contacts[outcome.position]
        try:
            conclusion = await self.sources.ask(self._person(contact), only_free=outcome.reason in NOT_WORTH_PAYING)
        except Exception as error:  # noqa: BLE001 - a fault in a source costs this contact only
            log.error("The sources broke on the contact at position %s: %s", outcome.position, traced(error))
            return outcome._replace(reason=Reason.INTERNAL_ERROR)
        return self._defer(contact, conclusion.missed) or _concluded(outcome, conclusion)

    def _person(self, contact: Contact) -> Person:
        return person_of(contact, self.domains.get(contact.position, ""))

    def _defer(self, contact: Contact, missed: Unanswered | None) -> Deferral | None:
        """Defer a contact whose provider may answer later. A turn that our own pace delays is always waited for."""
        if missed is None or not missed.is_temporary:
            return None
        if missed.ours and missed.wait is not None:
            return Deferral(contact.position, max(missed.wait, SHORTEST), missed.reason)
        if not may_come_back(contact, self.config):
            return None
        seconds = self.config.defer_seconds[contact.deferrals] if missed.wait is None else missed.wait
        return Deferral(contact.position, max(seconds, SHORTEST), missed.reason)


def _concluded(outcome: Outcome, conclusion: Conclusion) -> Outcome:
    evidence = outcome.evidence._replace(sources=conclusion.said)
    found = conclusion.found
    if found is not None:
        return outcome._replace(
            status=OutcomeStatus.FOUND,
            reason=Reason.PROVIDED,
            email=found.email,
            source=conclusion.source,
            score=found.score,
            evidence=Evidence(mail_server=outcome.reason, sources=conclusion.said, provided=found.evidence),
        )
    if conclusion.missed is not None:
        evidence = evidence._replace(mail_server=outcome.reason)
        return outcome._replace(reason=conclusion.missed.reason, evidence=evidence)
    return outcome._replace(evidence=evidence)
