"""What came out of asking a mail server about one address, with the evidence."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.mail.meanings import EXISTS, REASONS, Meaning
from pipeline.mail.replies import classify, denies_mailbox
from pipeline.mail.reply import Reply
from pipeline.outcomes import Reason

TEXT_KEPT = 200
"""Characters of a reply's text that are kept as evidence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server's reply, or its silence, means about one address.

    `text` is the reply's, or says why there is none (`code` is 0 then). `seconds` is the time from sending the
    questions that it was asked with to the last of their replies. `denied` tells a reply that speaks of a
    mailbox which does not exist, be it a transient one.
    """

    meaning: Meaning
    code: int
    text: str
    mail_host: str
    asked_at: datetime
    seconds: float = 0.0
    denied: bool = False

    @property
    def reason(self) -> Reason:
        """The reason word for an outcome that rests on this answer."""
        return REASONS[self.meaning]

    @property
    def may_change(self) -> bool:
        """Whether the server asks us to come back later: the same question may then get another answer.

        A limit passes only where a transient reply says so (RFC 5321 4.2.1).
        """
        if self.meaning is Meaning.RATE_LIMITED:
            return 400 <= self.code < 500
        return self.meaning is Meaning.GREYLISTED

    @property
    def says_catch_all(self) -> bool | None:
        """What this answer says of the whole domain, if the address is an invented one."""
        if self.meaning in EXISTS:
            return True
        return False if self.denied else None

    def as_evidence(self) -> Mapping[str, Any]:
        """The answer as an outcome keeps it: JSON-ready, short, without the address."""
        return {
            "mail_host": self.mail_host,
            "reply_code": self.code or None,
            "reply_text": self.text,
            "asked_at": self.asked_at.isoformat(timespec="milliseconds"),
            "seconds": round(self.seconds, 3),
        }


def answer_to_recipient(reply: Reply, mail_host: str, asked_at: datetime, seconds: float) -> Answer:
    """Make an answer of a reply to RCPT."""
    meaning = classify(reply)
    denied = meaning is Meaning.NO_SUCH_MAILBOX or denies_mailbox(reply)
    return Answer(meaning, reply.code, reply.text[:TEXT_KEPT], mail_host, asked_at, seconds, denied)
