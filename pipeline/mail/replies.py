"""What an SMTP reply means. The rules are data, in `reply_rules`; this is how they are read."""

import re
import unicodedata
from functools import lru_cache

from pipeline.mail.meanings import SETTLED, Meaning
from pipeline.mail.reply import Reply
from pipeline.mail.reply_rules import RULES

_ADDRESS = re.compile(r"<[^<>\s]*>|[^\s<>,;:()\"]+@[^\s<>,;:()\"]+")
_UNDECOMPOSED = str.maketrans("łøđıß’`´", "lodis'''")
_ENOUGH_WORDS = 1000
_TOO_MANY_RECIPIENTS = re.compile(r"too many recipients|recipients belong to multiple regions")


def classify(reply: Reply) -> Meaning:
    """Say what a reply to RCPT means about the recipient."""
    if reply.code in (250, 251):
        return Meaning.ACCEPTED
    if reply.code < 400:
        # 252 promises to try (RFC 5321 3.5.3); nothing else belongs here.
        return Meaning.UNCLEAR
    return _meaning_of(str(reply.code), reply.enhanced, words_of(reply))


# A server words its refusals alike, whoever they are about.
@lru_cache(maxsize=1024)
def _meaning_of(code: str, enhanced: str, words: str) -> Meaning:
    return next((rule.meaning for rule in RULES if rule.fits(code, enhanced, words)), Meaning.UNCLEAR)


def classify_refused_session(reply: Reply) -> Meaning:
    """Say what it means when a session is refused before any recipient was named: it can't be about one."""
    meaning = classify(reply)
    if meaning not in SETTLED and meaning is not Meaning.UNCLEAR:
        return meaning
    return Meaning.BLOCKED if reply.code >= 500 else Meaning.UNCLEAR


def is_too_many_recipients(reply: Reply) -> bool:
    """Say whether a reply asks for a new transaction rather than answering (RFC 5321 4.5.3.1.10)."""
    if reply.code not in (451, 452, 552):
        return False
    return reply.enhanced[2:] == "5.3" or _TOO_MANY_RECIPIENTS.search(words_of(reply)) is not None


def denies_mailbox(reply: Reply) -> bool:
    """Say whether a reply, transient ones included, speaks of a mailbox that does not exist.

    For a real address a 4xx is never "no". But a server that words its 4xx so for an invented address, after
    it took a real one, is not a catch-all.
    """
    return reply.code >= 400 and classify(Reply(550, reply.lines)) is Meaning.NO_SUCH_MAILBOX


def words_of(reply: Reply) -> str:
    """Bring a reply's text to the form that the rules are written for."""
    text = _ADDRESS.sub("EMAIL", reply.text[:_ENOUGH_WORDS].lower())
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text.translate(_UNDECOMPOSED))
    return "".join(character for character in decomposed if not unicodedata.combining(character))
