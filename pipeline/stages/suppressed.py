"""Finds the contacts of a batch that are on the account's suppression list, which is read once for the batch."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from pipeline.contacts import PatternCount
from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.model import PatternModel
from pipeline.lookup.patterns.patterns import local_parts
from pipeline.lookup.providers.source import Person
from pipeline.lookup.search.target import target_for
from pipeline.mail.address.suppression import (
    SuppressionList,
    address_digests,
    domain_digests,
    is_domain_listed,
    is_listed,
)
from pipeline.mail.address.syntax import Address


@dataclass(frozen=True, slots=True)
class Suppressed:
    """The hashes of a batch that are on the list."""

    listed: Collection[bytes] = frozenset()

    def has(self, address: Address) -> bool:
        """Whether an address, or its domain, is on the list."""
        return bool(self.listed) and is_listed(address, self.listed)

    def has_person(self, name: Name, domain: str, digest: bytes, known: Sequence[PatternCount]) -> bool:
        """Whether a person counts as being on the list.

        They do if they were erased, if their domain is on the list, or if the address that they most likely have is on
        it: probing other addresses of theirs would evade the list.
        """
        if not self.listed:
            return False
        if digest in self.listed or is_domain_listed(domain, self.listed):
            return True
        model = PatternModel(known)
        likeliest = target_for(name, model.confirmed).best(model)
        return likeliest is not None and self.has(Address(likeliest.local_part, domain))

    def local_parts(self, names: Iterable[Name], domain: str) -> Mapping[Name, set[str]]:
        """Return the local parts on the list by person: they may be somebody else's, and are not probed."""
        if not self.listed:
            return {}
        listed = {name: {each for each in local_parts(name) if self.has(Address(each, domain))} for name in names}
        return {name: parts for name, parts in listed.items() if parts}


async def may_be_probed(suppression_list: SuppressionList, people: Mapping[Name, Person]) -> list[Name]:
    """Return those people of one domain who are not on the list, and whose possible addresses are not on it either."""
    named = [(name, person.domain, person.digest) for name, person in people.items()]
    suppressed = await read_people(suppression_list, (), named)
    return [
        each[0] for each in named if not (suppressed.has_person(*each, ()) or suppressed.local_parts(each[:1], each[1]))
    ]


async def read_addresses(suppression_list: SuppressionList, addresses: Iterable[Address]) -> Suppressed:
    """Look up addresses in the list."""
    return Suppressed(await suppression_list.among(_of_addresses(addresses)))


async def read_people(
    suppression_list: SuppressionList, addresses: Iterable[Address], people: Iterable[tuple[Name, str, bytes]]
) -> Suppressed:
    """Look up addresses and people in the list; each person is a name, a domain and the hash of both."""
    return Suppressed(await suppression_list.among(chain(_of_addresses(addresses), _of_people(people))))


def _of_addresses(addresses: Iterable[Address]) -> Iterator[bytes]:
    domains = set()
    for address in addresses:
        yield from address_digests(address)
        domains.add(address.domain)
    for domain in domains:
        yield from domain_digests(domain)


def _of_people(people: Iterable[tuple[Name, str, bytes]]) -> Iterator[bytes]:
    for name, domain, digest in people:
        yield digest
        yield from domain_digests(domain)
        for local_part in local_parts(name):
            yield from address_digests(Address(local_part, domain))
