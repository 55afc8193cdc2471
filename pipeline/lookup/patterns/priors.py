"""The prior chance of each address pattern, by the domain's country, the culture of the name, the company's size.

The factors say how many times as common a pattern is there as elsewhere. They were counted over 15,900 corporate
addresses of developers at 2,206 domains (aggregates only), shrunk towards 1 where few were seen, and rounded. With such
a table counted over half of the domains, 77.9% of the other half's addresses are among the first eight candidates;
with the same shares for all, 76.2%.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache

from pipeline.lookup.patterns.patterns import PRIORS


class Size(StrEnum):
    """The size of a company, if known: small is up to about 20 people, large about a thousand or more."""

    UNKNOWN = "unknown"
    SMALL = "small"
    LARGE = "large"


def _times(text: str) -> Mapping[str, float]:
    return {pattern: float(factor) for pattern, _, factor in (word.partition("=") for word in text.split())}


_GERMAN = _times("first=0.3 firstl=0.3 last=4 f.last=8 lastfirst=0.3 firstlast=0.3 first_last=0.3 fl=5 flast2=3")
_RUSSIAN = _times("first.last=0.5 flast=0.5 first=0.3 firstl=0.3 last=7 f.last=10 lastfirst=0.5 firstlast=0.3")

COUNTRIES: Mapping[str, Mapping[str, float]] = {
    "at": _GERMAN,
    "au": _times("first=2 firstl=1.5 last=0.6 f.last=0.6"),
    "be": _times("first.last=1.5 flast=0.5 first=2 last=0.5 f.last=0.5"),
    "br": _times("first.last=1.5 flast=0.5 firstl=0.4 f.last=0.4 firstlast=0.5 first_last=0.4 lastfirst=0.3"),
    "ca": _times("first=0.7 firstlast=3 fl=2"),
    "ch": _times("first.last=1.5 flast=0.5 first=0.6 firstl=0.4 last=2 f.last=0.7 first_last=0.4 lastfirst=0.3"),
    "cn": _times(
        "first.last=0.4 flast=0.3 first=0.3 firstl=0.3 last=0.3 f.last=0.2 lastfirst=20 last.first=15 lastfm=6"
    ),
    "cz": _times("first=0.5 firstl=0.4 last=3.5 f.last=0.5 lastfirst=0.3 first_last=0.4 last.first=1.5"),
    "de": _GERMAN,
    "es": _times("first=1.5 firstl=0.5 last=0.5 f.last=0.5 firstlast=2 first_last=0.5 fl=2 fmlast=3 lastfirst=0.3"),
    "fr": _times("first.last=1.5 flast=0.6 first=0.6 f.last=1.5 first_last=0.3 flast7=0.5 lastfirst=0.3"),
    "hu": _times("first.last=0.7 flast=0.7 firstl=0.4 last=3 lastf=6 first2last=2 lfirst=10 last.first=3"),
    "it": _times("flast=0.6 first=0.5 firstl=0.5 last=1.5 f.last=3.5 firstlast=1.5 fl=2 lastfirst=0.4"),
    "jp": _times(
        "first.last=0.5 flast=0.5 first=0.7 firstl=0.3 last=5 f.last=0.4 first_last=0.4 last.first=30 f-last=5"
    ),
    "nl": _times("first.last=0.7 flast=1.5 first=2.5 last=0.4 f.last=3.5 firstlast=0.4 first_last=0.4 lastfirst=0.3"),
    "ru": _RUSSIAN,
    "ua": _RUSSIAN,
    "uk": _times("first.last=1.5 flast=0.7 first=0.6 firstl=0.5 last=0.3 f.last=0.5 firstlast=0.4 lastfirst=0.2"),
}
"""Factors by the country in the domain's name."""

CULTURES: Mapping[str, Mapping[str, float]] = {
    "": _times("f.last=0.7 lastfirst=0.2 firstlast=0.7 flast7=1.5"),
    "chinese": _times("flast=0.3 first=0.3 last=0.2 f.last=0.2 lastfirst=8 firstlast=1.5 flast7=0.2 fmlast=5 lastfm=7"),
    "hongkong_taiwan": _times(
        "flast=0.3 first=0.6 firstl=0.4 last=0.4 f.last=0.3 lastfirst=0.4 firstlast=3 first_last=5 last.first=2 "
        "first-last=15 flast7=0.3"
    ),
    "hungarian": _times("first.last=1.5 first=0.6 firstl=0.4 f.last=0.5 lastfirst=0.3 last.first=2 flast7=0.5"),
    "indian": _times(
        "flast=0.6 first=1.5 firstl=2 last=0.4 f.last=0.4 lastfirst=0.2 flast7=1.5 first2last=2 first4last4=5 first.l=3"
    ),
    "japanese": _times(
        "first.last=0.7 flast=0.5 firstl=0.4 f.last=0.4 firstlast=0.5 last.first=8 first-last=6 f-last=4"
    ),
    "korean": _times("flast=0.4 first=0.7 last=0.4 f.last=0.5 last.first=2 first.l=5 flast7=0.4 lastfm=4"),
    "portuguese": _times("last=0.6 f.last=0.4 lastfirst=0.3 first_last=0.5 fmlast=2.5 fml=4"),
    "spanish": _times("flast=1.3 first=1.3 firstl=0.5 last=0.6 f.last=0.4 lastfirst=0.3 firstlast=0.5 fl=1.5"),
    "vietnamese": _times(
        "first.last=0.6 flast=0.6 firstl=2 last=0.5 f.last=0.3 firstlast=2 first_last=0.4 firstlm=100 lastfm=4"
    ),
}
"""Factors by the culture of the name, for domains whose name shows no country."""

SIZES: Mapping[Size, Mapping[str, float]] = {
    Size.SMALL: _times("first=2 last=1.5 f.last=1.2 first_last=0.7 flast7=0.5 lastfirst=0.5 last.first=0.5"),
    Size.LARGE: _times("first=0.6 flast7=1.5 lastfirst=1.3 last.first=1.5"),
}


@lru_cache(maxsize=1024)
def priors_for(culture: str = "", domain: str = "", size: Size = Size.UNKNOWN) -> Mapping[str, float]:
    """Return the chance of each pattern, by what is known; the chances sum to 1."""
    country = COUNTRIES.get(domain.lower().rpartition(".")[2])
    by_place = country if country is not None else CULTURES.get(culture, CULTURES[""])
    by_size = SIZES.get(size, {})
    weights = {
        pattern: chance * by_place.get(pattern, 1.0) * by_size.get(pattern, 1.0) for pattern, chance in PRIORS.items()
    }
    total = sum(weights.values())
    return {pattern: weight / total for pattern, weight in weights.items()}
