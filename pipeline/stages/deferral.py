"""When a record is put off: its server asked us to come back later, and there is a later."""

from pipeline.mail.answer import Answer
from pipeline.mail.config import MailNetworkConfig
from pipeline.mail.stated_wait import stated_wait
from pipeline.outcomes import Deferral
from pipeline.records import Record


def may_come_back(record: Record, config: MailNetworkConfig) -> bool:
    """Say whether the record may be put off once more."""
    return record.deferrals < len(config.defer_seconds)


def put_off(record: Record, answer: Answer | None, config: MailNetworkConfig) -> Deferral | None:
    """Defer a record that rests on this answer, for as long as the server says or else as configured.

    None if the answer will not change, or the record was deferred often enough: it is owed an outcome.
    """
    if answer is None or not answer.may_change or not may_come_back(record, config):
        return None
    seconds = stated_wait(answer.text) or config.defer_seconds[record.deferrals]
    return Deferral(record.position, seconds, answer.reason)
