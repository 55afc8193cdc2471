"""Verdicts by mail provider: how many of each there are, and their shares as parts of a bar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from web.views.results import VERDICTS

MOST_PROVIDERS = 10
NAMES = {
    "": "Their own server, or one unknown",
    "google": "Google",
    "microsoft365": "Microsoft 365",
    "outlook": "Outlook.com",
    "apple": "iCloud Mail",
    "mailru": "Mail.ru",
    "ionos": "IONOS",
    "gmx": "GMX and web.de",
    "one": "one.com",
    "free": "free.fr",
    "tonline": "T-Online",
    "ovh": "OVH",
    "att": "AT&T",
    "godaddy": "GoDaddy",
    "cloudflare_security": "Cloudflare Email Security",
}
OTHERS = "Others"


@dataclass(frozen=True, slots=True)
class Part:
    """A verdict's part of the bar."""

    verdict: str
    count: int
    before: int


class ProviderRow(NamedTuple):
    """A provider's verdicts."""

    name: str
    whole: int
    parts: Sequence[Part]


def by_provider(found: Mapping[str, Mapping[str, int]]) -> Sequence[ProviderRow]:
    """The providers with most addresses first; the rest of them together at the end."""
    ranked = sorted(found.items(), key=lambda each: (-sum(each[1].values()), each[0]))
    rows = [_row(name_of(provider), counts) for provider, counts in ranked[:MOST_PROVIDERS]]
    if rest := [counts for _, counts in ranked[MOST_PROVIDERS:]]:
        rows.append(_row(OTHERS, {word: sum(counts.get(word, 0) for counts in rest) for word in VERDICTS}))
    return rows


def name_of(provider: str) -> str:
    """A provider's name as it writes itself, as far as that is known here."""
    return NAMES.get(provider) or provider.replace("_", " ").title()


def _row(name: str, counts: Mapping[str, int]) -> ProviderRow:
    parts, before = [], 0
    for word in VERDICTS:
        count = counts.get(word, 0)
        parts.append(Part(word, count, before))
        before += count
    return ProviderRow(name, before, parts)
