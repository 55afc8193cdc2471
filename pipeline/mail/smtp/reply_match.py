"""Notices replies that were given to another question.

Replies carry no number: the third reply answers the third command (RFC 2920 3.1). A server that loses a command out
of the middle gives every later address its neighbour's reply; but most servers repeat the address.
"""

import re
from collections.abc import Sequence

from pipeline.mail.smtp.reply import Reply

_IN_BRACKETS = re.compile(r"<([^<>\s]++)>")


def names_another(recipients: Sequence[str], heard: Sequence[Reply]) -> bool:
    """Say whether a reply names an address that was asked about together with its own, and not its own."""
    if len(recipients) == 1:
        return False
    asked: set[str] = set()
    for recipient, reply in zip(recipients, heard, strict=False):
        said = "\n".join(reply.lines)
        if "@" not in said or f"<{recipient}>" in said:
            continue
        asked = asked or {each.lower() for each in recipients}
        named = {address.lower() for address in _IN_BRACKETS.findall(said)}
        if not named.isdisjoint(asked) and recipient.lower() not in named:
            return True
    return False
