"""Decides whether a contact is deferred: its mail server asked us to come back later, or DNS failed.

A contact is deferred as often as `defer_seconds` has numbers. A look-up gets one visit more, at a server whose
greylist was seen to accept what had waited: what one visit shows is probed at the next, and answered at the one after.
"""

from pipeline.contacts import Contact
from pipeline.mail.config import MailNetworkConfig
from pipeline.mail.dns.routes import MailRoute
from pipeline.mail.replies.answer import Answer, stated_wait
from pipeline.mail.replies.meaning import Meaning
from pipeline.outcomes import Deferral, Reason


def may_come_back(contact: Contact, config: MailNetworkConfig) -> bool:
    """Whether the contact may be deferred once more."""
    return contact.deferrals < len(config.defer_seconds)


def visits_left(contact: Contact, config: MailNetworkConfig) -> int:
    """Return how many more visits a look-up may make to a server that greylists."""
    return max(0, len(config.defer_seconds) + 1 - contact.deferrals) if config.defer_seconds else 0


def defer(contact: Contact, answer: Answer | None, config: MailNetworkConfig) -> Deferral | None:
    """Defer a contact with this answer, for as long as the server says, or else as configured.

    None if the answer will not change, or if the contact was deferred often enough: it gets an outcome then.
    """
    if answer is None or not answer.may_change:
        return None
    return _later(contact, answer.reason, config, stated_wait(answer.text))


def defer_once_more(contact: Contact, answer: Answer | None, config: MailNetworkConfig) -> Deferral | None:
    """Defer a contact as `defer` does, or for the last visit of a look-up."""
    is_last = contact.deferrals == len(config.defer_seconds) > 0
    if answer is not None and answer.meaning is Meaning.GREYLISTED and is_last:
        return Deferral(contact.position, stated_wait(answer.text) or config.defer_seconds[-1], answer.reason)
    return defer(contact, answer, config)


def defer_for_dns(contact: Contact, route: MailRoute, config: MailNetworkConfig) -> Deferral | None:
    """Defer a contact whose domain's name servers failed, as mail servers defer messages (RFC 5321 5.1).

    None if they did not fail, or if the contact was deferred often enough.
    """
    return _later(contact, Reason.DNS_FAILURE, config) if route.problem is Reason.DNS_FAILURE else None


def _later(contact: Contact, reason: Reason, config: MailNetworkConfig, stated: float | None = None) -> Deferral | None:
    if not may_come_back(contact, config):
        return None
    return Deferral(contact.position, stated or config.defer_seconds[contact.deferrals], reason)
