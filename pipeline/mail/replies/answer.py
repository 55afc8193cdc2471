"""What came out of asking a mail server about one address, with the evidence."""

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


@dataclass(frozen=True)
class Answer:
    """What a server's reply, or its silence, means about one address.

    `text` is the reply's, without addresses, or says why there is none (`code` is 0 then). `seconds` is the time
    from sending the questions that it was asked with to the last of their replies. `denied` tells a reply that
    speaks of a mailbox which does not exist, be it a transient one. `rule` names the rule that gave the meaning,
    `detail` what of ours is refused if the meaning is BLOCKED.
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
        """The reason word for an outcome that rests on this answer."""
        return REASONS[self.meaning]

    @cached_property
    def may_change(self) -> bool:
        """Whether the server asks us to come back later: the same question may then get another answer.

        A limit, or trouble of the server's own, passes only where a transient reply says so (RFC 5321 4.2.1). A
        server that says "unknown user" with a transient code says so every time.
        """
        if self.meaning in (Meaning.RATE_LIMITED, Meaning.UNCLEAR):
            return 400 <= self.code < 500 and not self.denied
        return self.meaning is Meaning.GREYLISTED

    @property
    def says_catch_all(self) -> bool | None:
        """What this answer says of the whole domain, if the address is an invented one."""
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
    """Make answers of replies to RCPT, each given for an address; addresses that were told the same share one.

    `book` holds an operator's rules, if there are any.
    """
    book = book or standard_book()
    alike: dict[tuple[Reply, str], Answer] = {}
    answers: dict[str, Answer] = {}
    for address, reply in replies:
        anonymous = without_addresses(reply, address)
        heard = _heard(anonymous, provider, book)
        text = without_local_part(heard.text, address)
        answer = alike.get((anonymous, text))
        if answer is None:
            answer = alike[anonymous, text] = Answer(
                heard.judgement.meaning,
                reply.code,
                text,
                mail_host,
                asked_at,
                seconds,
                heard.denied,
                heard.enhanced,
                heard.judgement.rule,
                heard.judgement.detail,
            )
        answers[address] = answer
    return answers


def answer_to_refused_session(
    reply: Reply, mail_host: str, asked_at: datetime, *, book: RuleBook | None = None
) -> Answer:
    """Make an answer of the reply with which a server refused or ended the session."""
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


@dataclass(frozen=True, slots=True)
class _Heard:
    judgement: Judgement
    denied: bool
    enhanced: str
    text: str


@lru_cache(maxsize=4096)
def _heard(reply: Reply, provider: str, book: RuleBook) -> _Heard:
    """What there is to know of a reply; a server gives the same one to many recipients."""
    judgement = book.judge(reply, provider)
    denied = judgement.meaning is Meaning.NO_SUCH_MAILBOX or denies_mailbox(reply, book)
    return _Heard(judgement, denied, reply.enhanced, reply.text[:TEXT_KEPT])
