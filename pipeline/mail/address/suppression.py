"""By which hashes an address or a domain is found on a suppression list.

An entry stands there as the SHA-256 of a normalised text. An address is looked for under its own text in lower case,
which is what others' hashed lists hold, and under its mailbox, so that no tag and no dot gets past the list; and it is
looked for under its domain and each domain above that. Too much is suppressed rather than too little.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

from pipeline.mail.address.same_mailbox import same_mailbox_key
from pipeline.mail.address.syntax import Address


class SuppressionList(Protocol):
    """An account's suppression list."""

    async def among(self, digests: Iterable[bytes]) -> Collection[bytes]:
        """Which of these are on the list; asked once for a whole batch. They are made only if somebody looks."""
        ...


class EmptyList:
    """Nobody is on it."""

    async def among(self, digests: Iterable[bytes]) -> Collection[bytes]:  # noqa: ARG002 - nobody is on it
        """None of them."""
        return frozenset()


def mailbox_text(address: Address) -> str:
    """The text of an address that a list keeps: what follows a plus counts nowhere, also where nothing is known."""
    local, _, domain = same_mailbox_key(address).rpartition("@")
    if not local.startswith('"'):
        local = local.partition("+")[0] or local
    return f"{local}@{domain}"


def sha256_of(text: str) -> bytes:
    """The hash under which a normalised text is kept."""
    return hashlib.sha256(text.encode()).digest()


def address_digests(address: Address) -> Iterator[bytes]:
    """All hashes under which a list may hold the address itself."""
    for text in {f"{address.local.lower()}@{address.domain}", mailbox_text(address)}:
        yield sha256_of(text)


def domain_digests(domain: str) -> Iterator[bytes]:
    """All hashes under which a list may hold the domain: its own, and those of the domains above it."""
    while "." in domain:
        yield sha256_of(domain)
        domain = domain.partition(".")[2]


def is_listed(address: Address, listed: Collection[bytes]) -> bool:
    """Whether an address, or its domain, is on the list."""
    return is_domain_listed(address.domain, listed) or any(digest in listed for digest in address_digests(address))


def is_domain_listed(domain: str, listed: Collection[bytes]) -> bool:
    """Whether a domain, or one above it, is on the list."""
    return bool(listed) and any(digest in listed for digest in domain_digests(domain))
