"""Tells a catch-all domain apart by asking its server about an address that nobody can have.

The invented address comes after the real ones: asked first, it poisons the session at some hosts (Outlook
answers the next recipients 451 or 452). An inconclusive answer is kept apart from yes.

For a domain and a sender it is always the same address, in every process: a server that greylists lets only
those pass who come back with the same client address, sender and recipient.
"""

import hashlib
from functools import lru_cache

from pipeline.mail.probe import Prober
from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.meaning import Meaning

LENGTH = 16
"""16^16 possibilities: nobody has it, and it still looks like a local part."""
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")


async def random_probe(conversation: Prober, mail_from: str) -> Answer:
    """Ask about a random address, a second time in a session of its own if the first settles nothing."""
    address = random_address(conversation.domain, mail_from)
    answer = (await conversation.probe([address]))[address]
    if answer.says_catch_all is None and answer.meaning is Meaning.UNCLEAR:
        conversation.hang_up()
        answer = (await conversation.probe([address]))[address]
    return answer


def random_address(domain: str, mail_from: str) -> str:
    """Make up the address that nobody has at this domain, for this sender."""
    return f"{random_local_part(domain, mail_from)}@{domain}"


@lru_cache(maxsize=1024)
def random_local_part(domain: str, mail_from: str) -> str:
    """Make up the local part that no mailbox of this domain has, for this sender."""
    return hashlib.sha256(f"{mail_from} {domain}".encode()).hexdigest()[:LENGTH].translate(_LETTERS)
