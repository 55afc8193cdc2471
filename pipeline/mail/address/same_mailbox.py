"""Recognises addresses that reach the same mailbox: a hint, never an edit.

Mail is always sent to the address as it was given, and so are probes.
"""

from pipeline.mail.address.providers import aliases_at
from pipeline.mail.address.syntax import Address


def same_mailbox_key(address: Address, provider: str = "") -> str:
    """Return a text that is equal for addresses known to reach the same mailbox.

    `provider` is the name of the provider that takes the domain's mail. Local parts that differ in case only count as
    equal: RFC 5321 2.4 lets servers distinguish them, and discourages it.
    """
    aliases = aliases_at(address.domain, provider)
    local = address.local.lower()
    if aliases.tag and not local.startswith(('"', aliases.tag)):
        local = local.partition(aliases.tag)[0].rstrip(".")
    for character in aliases.ignored:
        local = local.replace(character, "") or local
    return f"{local}@{aliases.domain or address.domain}"
