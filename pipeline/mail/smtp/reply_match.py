"""Detects replies that belong to another recipient.

Replies carry no number: the third reply answers the third command (RFC 2920 3.1). If a server loses a command, every
later address gets its neighbour's reply. But most servers repeat the address in the reply.
"""

import re
from collections.abc import Sequence

from pipeline.mail.smtp.reply import Reply

_IN_BRACKETS = re.compile(r"<([^<>\s]++)>")


def names_another(recipients: Sequence[str], replies: Sequence[Reply]) -> bool:
    """Say whether a reply names another of these recipients instead of its own."""
    if len(recipients) == 1:
        return False
    asked: set[str] = set()
    for recipient, reply in zip(recipients, replies, strict=False):
        text = "\n".join(reply.lines)
        if "@" not in text or f"<{recipient}>" in text:
            continue
        asked = asked or {each.lower() for each in recipients}
        named = {address.lower() for address in _IN_BRACKETS.findall(text)}
        if not named.isdisjoint(asked) and recipient.lower() not in named:
            return True
    return False
