"""Tells a catch-all domain apart by asking its server about an address that nobody can have.

The invented address comes after the real ones: asked first, it poisons the session at some hosts (Outlook
answers the next recipients 451 or 452). An inconclusive answer is kept apart from yes.
"""

import secrets
import string

from pipeline.mail.answer import Answer
from pipeline.mail.conversation import Conversation
from pipeline.mail.meanings import Meaning

LENGTH = 14
"""36^13 × 26 possibilities: nobody has it, and it still looks like a local part."""


async def is_catch_all(conversation: Conversation) -> bool | None:
    """Ask about an invented address, a second time in a session of its own if the first settles nothing."""
    answer = await _ask_about_nobody(conversation)
    if answer.says_catch_all is None and answer.meaning is Meaning.UNCLEAR:
        conversation.hang_up()
        answer = await _ask_about_nobody(conversation)
    return answer.says_catch_all


def invented_local_part() -> str:
    """Make up a local part that no mailbox has."""
    letters = string.ascii_lowercase
    rest = (secrets.choice(letters + string.digits) for _ in range(LENGTH - 1))
    return secrets.choice(letters) + "".join(rest)


async def _ask_about_nobody(conversation: Conversation) -> Answer:
    address = f"{invented_local_part()}@{conversation.domain}"
    return (await conversation.ask([address]))[address]
