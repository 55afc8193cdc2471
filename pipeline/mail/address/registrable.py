"""Registrable domains: what somebody can own, by the Public Suffix List."""

from functools import cache

from publicsuffixlist import PublicSuffixList


def registrable_domain(name: str) -> str | None:
    """Return the registrable domain that a name belongs to; None if it is a public suffix itself."""
    return _public_suffixes().privatesuffix(name)


@cache
def _public_suffixes() -> PublicSuffixList:
    """Read the list on first use: it takes some 50 ms."""
    return PublicSuffixList()
