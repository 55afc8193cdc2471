"""Recognises catch-all domains by a random probe: RCPT for a random address that no mailbox has.

The random address is probed after the real ones: at some hosts it spoils the session if it comes first (Outlook then
answers the next recipients 451 or 452). An inconclusive answer does not count as acceptance.

A domain has one random address per sender, the same in every process: greylisting lets only those pass who come back
with the same client address, sender and recipient.
"""

import hashlib
from functools import lru_cache

from pipeline.mail.probe import Prober
from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.meaning import Meaning

LENGTH = 16
"""Characters of the local part: with 16^16 possibilities no mailbox has it, and it still looks like one."""
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")


async def random_probe(conversation: Prober, mail_from: str) -> Answer:
    """Probe the random address, a second time in a new session if the first answer is inconclusive."""
    address = random_address(conversation.domain, mail_from)
    answer = (await conversation.probe([address]))[address]
    if answer.says_catch_all is None and answer.meaning is Meaning.UNCLEAR:
        conversation.hang_up()
        answer = (await conversation.probe([address]))[address]
    return answer


def random_address(domain: str, mail_from: str) -> str:
    """Return the random address of a domain, for this sender."""
    return f"{random_local_part(domain, mail_from)}@{domain}"


@lru_cache(maxsize=1024)
def random_local_part(domain: str, mail_from: str) -> str:
    """Return the local part of the random address of a domain."""
    return hashlib.sha256(f"{mail_from} {domain}".encode()).hexdigest()[:LENGTH].translate(_LETTERS)
