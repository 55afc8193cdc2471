"""The hashes under which an address or a domain is looked up on a suppression list.

An entry is the SHA-256 of a normalised text. An address is looked up under its own text in lower case, which is what
hashed lists of others hold, and under its mailbox, so that a tag or a dot does not evade the list; also under its
domain and each domain above that. When in doubt, an address is suppressed.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

from pipeline.mail.address.same_mailbox import same_mailbox_key
from pipeline.mail.address.syntax import Address


class SuppressionList(Protocol):
    """An account's suppression list."""

    async def among(self, digests: Iterable[bytes]) -> Collection[bytes]:
        """Return those that are on the list. Called once per batch; the digests are computed only if they are read."""
        ...


class EmptyList:
    """A list without entries."""

    async def among(self, digests: Iterable[bytes]) -> Collection[bytes]:  # noqa: ARG002 - the list is empty
        return frozenset()


def mailbox_text(address: Address) -> str:
    """Return the mailbox of an address; what follows a plus never counts, even at unknown providers."""
    local, _, domain = same_mailbox_key(address).rpartition("@")
    if not local.startswith('"'):
        local = local.partition("+")[0] or local
    return f"{local}@{domain}"


def sha256_of(text: str) -> bytes:
    """Return the hash of a normalised text."""
    return hashlib.sha256(text.encode()).digest()


def address_digests(address: Address) -> Iterator[bytes]:
    """Yield all hashes under which a list may hold the address itself."""
    for text in {f"{address.local.lower()}@{address.domain}", mailbox_text(address)}:
        yield sha256_of(text)


def domain_digests(domain: str) -> Iterator[bytes]:
    """Yield all hashes under which a list may hold the domain: its own, and those of the domains above it."""
    while "." in domain:
        yield sha256_of(domain)
        domain = domain.partition(".")[2]


def is_listed(address: Address, listed: Collection[bytes]) -> bool:
    """Say whether an address or its domain is on the list."""
    return is_domain_listed(address.domain, listed) or any(digest in listed for digest in address_digests(address))


def is_domain_listed(domain: str, listed: Collection[bytes]) -> bool:
    """Say whether a domain or one above it is on the list."""
    return bool(listed) and any(digest in listed for digest in domain_digests(domain))
