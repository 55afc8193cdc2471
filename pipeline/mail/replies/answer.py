"""The result of probing one address, with its evidence."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache

from pipeline.evidence import ReplyEvidence
from pipeline.mail.replies.classify import (
    Judgement,
    RuleBook,
    denies_mailbox,
    judge_refused_session,
    standard_book,
    without_addresses,
    without_local_part,
)
from pipeline.mail.replies.meaning import EXISTS, REASONS, Meaning
from pipeline.mail.smtp.reply import Reply
from pipeline.outcomes import Reason

TEXT_KEPT = 200
"""Characters of a reply's text that are kept as evidence."""
WAIT_MARGIN = 5.0
"""Seconds added to a wait that a server states: how far its clock and ours may be apart."""
LONGEST_WAIT = 3600.0
"""Seconds waited at most, whatever a server states."""

# Texts as in facts published with greylisting software: Postgrey and SQLgrey ("Greylisted for 5 minutes"),
# milter-greylist ("please come back in 00:04:59"), policyd ("please try again in 180 seconds").
_UNITS = {"s": 1, "m": 60, "h": 3600}
_INVITATION = r"(?:again|retry|back|return|delayed|deferred|gr[ae]y-?list(?:ed|ing)?)\b"
_WAIT = re.compile(
    rf"(?:{_INVITATION}[^.;:\d]{{0,30}}?\b(?:in|after|for)|\bwait)\s+(?:(?:for|at least|about|another)\s+){{0,2}}"
    r"(?:(?:(?P<hours>\d{1,2}):)?(?P<minutes>\d{1,2}):(?P<seconds>\d{2})\b"
    r"|(?P<number>\d{1,5}) ?(?P<unit>s|m|h)(?:ec(?:ond)?s?|in(?:ute)?s?|(?:ou)?rs?)?\b)"
)


@dataclass(frozen=True)
class Answer:
    """What a server's reply, or its absence, means about one address.

    `text` is the text of the reply without addresses; without a reply, `code` is 0 and `text` says why. `seconds` is
    the time from sending the batch of probes to the last of its replies. `denied` marks a reply, even a transient one,
    that says the mailbox does not exist. `rule` names the rule that gave the meaning; `detail` says what of ours is
    refused if the meaning is BLOCKED.
    """

    meaning: Meaning
    code: int
    text: str
    mail_host: str
    asked_at: datetime
    seconds: float = 0.0
    denied: bool = False
    enhanced: str = ""
    rule: str = ""
    detail: str = ""

    @property
    def reason(self) -> Reason:
        """The reason of an outcome that rests on this answer."""
        return REASONS[self.meaning]

    @cached_property
    def may_change(self) -> bool:
        """Whether the same probe may get another answer later.

        A rate limit or an error of the server is temporary only if the reply's code is (RFC 5321 4.2.1). A server that
        says "unknown user" with a transient code says so every time.
        """
        if self.meaning in (Meaning.RATE_LIMITED, Meaning.UNCLEAR):
            return 400 <= self.code < 500 and not self.denied
        return self.meaning is Meaning.GREYLISTED

    @property
    def says_catch_all(self) -> bool | None:
        """Whether this answer about a random address shows a catch-all domain; None if it is inconclusive."""
        if self.meaning in EXISTS:
            return True
        return False if self.denied else None

    @cached_property
    def evidence(self) -> ReplyEvidence:
        """The answer as an outcome keeps it: short, without the address; created once for all who share the answer."""
        return ReplyEvidence(
            self.meaning,
            self.mail_host,
            self.code or None,
            self.text,
            self.asked_at,
            round(self.seconds, 3),
            self.enhanced,
            self.rule,
            self.detail,
        )


def answers_to_recipients(
    replies: Iterable[tuple[str, Reply]],
    mail_host: str,
    asked_at: datetime,
    seconds: float,
    *,
    book: RuleBook | None = None,
    provider: str = "",
) -> dict[str, Answer]:
    """Convert the replies to RCPT to answers. Addresses with the same reply share one answer.

    `book` holds the operator's rules, if there are any.
    """
    book = book or standard_book()
    alike: dict[tuple[Reply, str], Answer] = {}
    answers: dict[str, Answer] = {}
    for address, reply in replies:
        anonymous = without_addresses(reply, address)
        reading = _read(anonymous, provider, book)
        text = without_local_part(reading.text, address)
        answer = alike.get((anonymous, text))
        if answer is None:
            answer = alike[anonymous, text] = Answer(
                reading.judgement.meaning,
                reply.code,
                text,
                mail_host,
                asked_at,
                seconds,
                reading.denied,
                reading.enhanced,
                reading.judgement.rule,
                reading.judgement.detail,
            )
        answers[address] = answer
    return answers


def answer_to_refused_session(
    reply: Reply, mail_host: str, asked_at: datetime, *, book: RuleBook | None = None
) -> Answer:
    """Convert the reply with which a server refused or ended a session to an answer."""
    judgement = judge_refused_session(reply, book)
    return Answer(
        judgement.meaning,
        reply.code,
        without_addresses(reply).text[:TEXT_KEPT],
        mail_host,
        asked_at,
        enhanced=reply.enhanced,
        rule=judgement.rule,
        detail=judgement.detail,
    )


def stated_wait(text: str) -> float | None:
    """Return the seconds to wait if a reply names a time after which to come back."""
    found = _WAIT.search(text.lower())
    if found is None:
        return None
    if found["number"]:
        seconds = int(found["number"]) * _UNITS[found["unit"]]
    else:
        seconds = int(found["hours"] or 0) * 3600 + int(found["minutes"]) * 60 + int(found["seconds"])
    return min(seconds + WAIT_MARGIN, LONGEST_WAIT)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The part of an answer that does not depend on the address."""

    judgement: Judgement
    denied: bool
    enhanced: str
    text: str


@lru_cache(maxsize=4096)
def _read(reply: Reply, provider: str, book: RuleBook) -> _Reading:
    """Read a reply; cached, since a server gives the same one to many recipients."""
    judgement = book.judge(reply, provider)
    denied = judgement.meaning is Meaning.NO_SUCH_MAILBOX or denies_mailbox(reply, book)
    return _Reading(judgement, denied, reply.enhanced, reply.text[:TEXT_KEPT])
