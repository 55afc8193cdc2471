"""When a contact is put off: its server asked us to come back later, or the DNS failed, and there is a later.

A look-up has one visit more than `defer_seconds` has numbers, at a server whose greylist was seen to let pass what had
waited: what one visit teaches is asked at the next, and answered at the one after it.
"""

from pipeline.contacts import Contact
from pipeline.mail.config import MailNetworkConfig
from pipeline.mail.dns.routes import MailRoute
from pipeline.mail.replies.answer import Answer, stated_wait
from pipeline.mail.replies.meaning import Meaning
from pipeline.outcomes import Deferral, Reason


def may_come_back(contact: Contact, config: MailNetworkConfig) -> bool:
    """Say whether the contact may be put off once more."""
    return contact.deferrals < len(config.defer_seconds)


def visits_left(contact: Contact, config: MailNetworkConfig) -> int:
    """Say how often a look-up may still come back to a server that greylists."""
    return max(0, len(config.defer_seconds) + 1 - contact.deferrals) if config.defer_seconds else 0


def defer(contact: Contact, answer: Answer | None, config: MailNetworkConfig) -> Deferral | None:
    """Defer a contact that rests on this answer, for as long as the server says or else as configured.

    None if the answer will not change, or the contact was deferred often enough: it is owed an outcome.
    """
    if answer is None or not answer.may_change:
        return None
    return _later(contact, answer.reason, config, stated_wait(answer.text))


def defer_once_more(contact: Contact, answer: Answer | None, config: MailNetworkConfig) -> Deferral | None:
    """Defer a contact as `put_off` does, or for the last visit that a look-up has."""
    is_last = contact.deferrals == len(config.defer_seconds) > 0
    if answer is not None and answer.meaning is Meaning.GREYLISTED and is_last:
        return Deferral(contact.position, stated_wait(answer.text) or config.defer_seconds[-1], answer.reason)
    return defer(contact, answer, config)


def defer_for_dns(contact: Contact, route: MailRoute, config: MailNetworkConfig) -> Deferral | None:
    """Defer a contact whose domain's name servers failed, as mail servers do with a message (RFC 5321 5.1).

    None if they said what there is to say, or the contact was deferred often enough.
    """
    return _later(contact, Reason.DNS_FAILURE, config) if route.problem is Reason.DNS_FAILURE else None


def _later(contact: Contact, reason: Reason, config: MailNetworkConfig, stated: float | None = None) -> Deferral | None:
    if not may_come_back(contact, config):
        return None
    return Deferral(contact.position, stated or config.defer_seconds[contact.deferrals], reason)
