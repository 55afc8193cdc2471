"""Finds the domain of a company, for contacts without one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.lookup.providers.csv_rows import read_rows
from pipeline.lookup.providers.source import normalised
from pipeline.mail.address.syntax import normalise_domain

# Legal forms, which some lists write and others leave out.
_LEGAL_FORMS = {
    "inc", "incorporated", "corp", "corporation", "co", "company", "ltd", "limited", "llc", "llp", "plc", "gmbh", "ag",
    "kg", "se", "sa", "sas", "sarl", "srl", "spa", "bv", "nv", "ab", "as", "oy", "aps", "pty", "kk",
}  # fmt: skip
_WORD = re.compile(r"[^\s,]++")


class Companies(Protocol):
    """Knows the domains of companies."""

    async def domain_of(self, company: str) -> str | None:
        """Return the domain (A-labels, lower case) of a company's mail; None if the company is unknown."""
        ...


class NoCompanies:
    """Knows none."""

    async def domain_of(self, company: str) -> str | None:  # noqa: ARG002 - no company is known
        """None."""
        return None


@dataclass(frozen=True, slots=True)
class CompaniesFile:
    """A CSV file of the user's, with columns `company` and `domain`."""

    domains: Mapping[str, str]

    async def domain_of(self, company: str) -> str | None:
        """Return the domain, ignoring case, blanks and legal form: "Example Co" is "EXAMPLE"."""
        return self.domains.get(company_key(company))


def read_companies(path: Path) -> CompaniesFile:
    """Read the file; of two lines for one company, the first counts. Raises `SourcesMisconfigured`."""
    domains: dict[str, str] = {}
    for row in read_rows(path, "company", "domain"):
        domain = normalise_domain(row["domain"])
        if domain and row["company"]:
            domains.setdefault(company_key(row["company"]), domain)
    return CompaniesFile(domains)


def company_key(company: str) -> str:
    """Return the name by which a company is looked up."""
    name = normalised(company).replace(".", "")
    words = list(_WORD.finditer(name))
    while len(words) > 1 and words[-1][0] in _LEGAL_FORMS:
        del words[-1]
    return name[words[0].start() : words[-1].end()] if words else name
