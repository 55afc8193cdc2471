"""The user's own directory: a CSV file with people's addresses, looked up by name and domain or company."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from pipeline.lookup.providers.breaker import CircuitBreaker
from pipeline.lookup.providers.companies import company_key
from pipeline.lookup.providers.csv_rows import read_rows
from pipeline.lookup.providers.journal import Journal
from pipeline.lookup.providers.source import Found, NotFound, Person, normalised
from pipeline.mail.address.syntax import Address, normalise_domain, parse_address

SCORE = 90
"""The score of an address that the user vouches for; `email_verify` checks whether the mailbox still exists."""

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PeopleFile:
    """The addresses of a CSV file. If two lines disagree about a person, that person is unknown."""

    addresses: Mapping[_Key, str | None]
    name: str = "directory"
    is_free: bool = True
    breaker: CircuitBreaker | None = None

    async def ask(self, person: Person, journal: Journal, left: Decimal | None) -> Found | NotFound:  # noqa: ARG002
        """Look the person up, which needs neither journal nor budget."""
        found = (self.addresses.get(key) for key in _keys(person.name, person.domain, person.company))
        email = next((address for address in found if address), None)
        return Found(email, SCORE) if email else NotFound()

    async def close(self) -> None:
        """Do nothing: no connection is open."""


def read_people(path: Path) -> PeopleFile:
    """Read a file with columns `email`, a name (`full_name`, or `first_name` and `last_name`), `domain`, `company`.

    A line without domain and company counts for the domain of its address. Raises `SourcesMisconfigured`.
    """
    addresses: dict[_Key, str | None] = {}
    for row in read_rows(path, "email"):
        address = parse_address(row["email"])
        if not isinstance(address, Address):
            continue
        for key in _keys(_name(row), _domain(row, address), row.get("company", "")):
            if addresses.setdefault(key, str(address)) != str(address):
                addresses[key] = None
    return PeopleFile(addresses)


def _keys(name: str, domain: str, company: str) -> Iterator[_Key]:
    if name and domain:
        yield normalised(name), domain
    if name and company:
        yield normalised(name), company_key(company)


def _name(row: Mapping[str, str]) -> str:
    return row.get("full_name", "") or f"{row.get('first_name', '')} {row.get('last_name', '')}".strip()


def _domain(row: Mapping[str, str], address: Address) -> str:
    given = row.get("domain", "")
    if given:
        return normalise_domain(given) or ""
    return "" if row.get("company") else address.domain
