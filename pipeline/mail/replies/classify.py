"""Classifies SMTP replies by the rules in `rules.toml`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline.mail.replies.meaning import CONCLUSIVE, Meaning
from pipeline.mail.replies.rules import Rule, fold, standard_rules
from pipeline.mail.smtp.reply import Reply

# Any server can send any text, so every pattern must take linear time: a word with an @ is matched once, from its
# beginning (tests/test_linear_time.py).
_SEPARATOR = r"\s<>,;:()\"\[\]"
_ADDRESS = re.compile(rf"<[^<>\s]*+>|(?<![^{_SEPARATOR}])[^{_SEPARATOR}][^@{_SEPARATOR}]*+@[^{_SEPARATOR}]++")
_IP = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:[0-9a-f]{1,4}:){3,7}(?::?[0-9a-f]{1,4}){1,8}+\b")
_ENOUGH_WORDS = 1000
_LONG_WORD = re.compile(r"(\w{40})\w++")
r"""Longer words are cut to more than any rule matches; rules that begin with `\w*` are slow on long words."""
_TOO_MANY_RECIPIENTS = re.compile(r"too many recipients|recipients belong to multiple regions")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a reply means, the name of the rule that decided, and what of ours is refused if it is BLOCKED.

    `rule` is empty if the code alone decided, or if no rule matches.
    """

    meaning: Meaning
    rule: str = ""
    detail: str = ""


class RuleBook:
    """The rules in the order in which they are tried, the standard ones last."""

    def __init__(self, first: Sequence[Rule] = ()) -> None:
        self._rules = (*first, *standard_rules())
        # A server uses the same text for all recipients that it refuses.
        self._decide = lru_cache(maxsize=4096)(self._first_match)

    def judge(self, reply: Reply, provider: str = "") -> Judgement:
        """Return what a reply to RCPT means about the recipient; `provider` runs the server, if known."""
        if reply.code in (250, 251):
            return Judgement(Meaning.ACCEPTED)
        if reply.code < 400:
            # 252 only promises to try delivery (RFC 5321 3.5.3); no other code is valid here.
            return Judgement(Meaning.UNCLEAR)
        return self._decide(str(reply.code), reply.enhanced, words_of(reply), provider)

    def _first_match(self, code: str, enhanced: str, words: str, provider: str) -> Judgement:
        for rule in self._rules:
            if rule.matches(code, enhanced, words, provider):
                return Judgement(rule.meaning, rule.name, rule.detail)
        return Judgement(Meaning.UNCLEAR)


@lru_cache(maxsize=1)
def standard_book() -> RuleBook:
    """The standard rules."""
    return RuleBook()


def classify(reply: Reply) -> Meaning:
    """Return what a reply to RCPT means about the recipient, by the standard rules."""
    return standard_book().judge(reply).meaning


def judge_refused_session(reply: Reply, book: RuleBook | None = None) -> Judgement:
    """Return what the refusal of a session means: it cannot be about a recipient."""
    judgement = (book or standard_book()).judge(reply)
    if judgement.meaning not in CONCLUSIVE and judgement.meaning is not Meaning.UNCLEAR:
        return judgement
    return Judgement(Meaning.BLOCKED if reply.code >= 500 else Meaning.UNCLEAR)


def classify_refused_session(reply: Reply) -> Meaning:
    """Return what the refusal of a session means, by the standard rules."""
    return judge_refused_session(reply).meaning


def is_too_many_recipients(reply: Reply) -> bool:
    """Return whether a reply refuses a recipient only because the transaction has too many (RFC 5321 4.5.3.1.10)."""
    if reply.code not in (451, 452, 552):
        return False
    return reply.enhanced[2:] == "5.3" or _TOO_MANY_RECIPIENTS.search(words_of(reply)) is not None


def denies_mailbox(reply: Reply, book: RuleBook | None = None) -> bool:
    """Return whether a reply, even a transient one, says that the mailbox does not exist.

    A transient reply never refuses a real address for good. But a server that answers so about the random address,
    after it accepted a real one, is not a catch-all.
    """
    if reply.code < 400:
        return False
    return (book or standard_book()).judge(Reply(550, reply.lines)).meaning is Meaning.NO_SUCH_MAILBOX


def words_of(reply: Reply) -> str:
    """Normalise the text of a reply for the rules."""
    text = _ADDRESS.sub("EMAIL", reply.text[:_ENOUGH_WORDS].lower())
    folded = fold(_IP.sub("IP", text))[:_ENOUGH_WORDS]
    return _LONG_WORD.sub(r"\1", " ".join(folded.split()))


def without_addresses(reply: Reply, asked: str = "") -> Reply:
    """Replace the addresses in a reply, so that the replies to many recipients become equal.

    The address `asked` is the one that was probed. It is replaced first, which is quick: most replies name no other.
    """
    for line in reply.lines:
        if "@" in line or "<" in line:
            return Reply(reply.code, tuple([_without_addresses(line, f"<{asked}>") for line in reply.lines]))
    return reply


def _without_addresses(line: str, asked: str) -> str:
    shorter = line.replace(asked, "<address>")
    has_others = "@" in shorter or shorter.count("<") > shorter.count("<address>")
    return _ADDRESS.sub("<address>", shorter) if has_others else shorter


def without_local_part(text: str, address: str) -> str:
    """Replace the local part of the probed address in a reply's text."""
    local_part = address.rpartition("@")[0]
    # Nearly always there is nothing to replace, and compiling a pattern for each address would take longer than
    # judging.
    if not local_part or local_part.lower() not in text.lower():
        return text
    return re.sub(rf"(?<![\w.]){re.escape(local_part)}(?![\w.])", "<address>", text, flags=re.IGNORECASE)
