"""The companies of a truth set: domains, behaviours of their servers, numbers of people, patterns of addresses."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.domains import Behaviour, Domain, company_names, mail_hosts
from sandbox.truth_set.addresses import Naming, Scheme, draw_forms
from sandbox.truth_set.cultures import cultures
from sandbox.truth_set.spelling import draw_spelling

LARGEST = 300

_BEHAVIOURS = {
    Behaviour.ORDINARY: 61,
    Behaviour.CATCH_ALL: 8,
    Behaviour.GREYLISTING: 4,
    Behaviour.RECIPIENT_LIMIT: 4,
    Behaviour.SLOW: 3,
    Behaviour.NO_SUCH_DOMAIN: 3,
    Behaviour.NO_MAIL_SERVER: 2,
    Behaviour.NOTHING_LISTENS: 2,
    Behaviour.NULL_MX: 2,
    Behaviour.NO_MX_BUT_ADDRESS: 2,
    Behaviour.NO_PIPELINING: 2,
    Behaviour.FIRST_MX_DEAD: 2,
    Behaviour.REFUSING: 2,
    Behaviour.REFUSING_AT_BANNER: 1,
    Behaviour.ALIASED_MX: 1,
    Behaviour.DNS_SERVFAIL: 1,
}
"""Percent of the domains."""
_NAMING = {Naming.SINGLE: 70, Naming.MIXED: 12, Naming.LEGACY: 9, Naming.NUMBERED: 9}
_TARPIT = 0.3
"""The share of slow servers that delay every reply for longer than any client waits."""
_TARPIT_SLOWNESS = 100.0
_SINGLES = 0.3
"""The share of domains with one contact; as many have two to nine."""


@dataclass(frozen=True, slots=True)
class Company:
    """One company; `size` is the number of its people in the truth set, `culture` that of most of them."""

    domain: Domain
    scheme: Scheme
    culture: str
    size: int


def invent_companies(seed: int, people: int, count: int) -> list[Company]:
    """Invent `count` companies, with `people` in all. Raises ValueError if there are too few names."""
    rng = random.Random(f"companies {seed}")  # noqa: S311 - must be repeatable
    sizes, behaviours = _sizes(rng, people, count), _behaviours(rng, count)
    return [
        _invent(rng, name, behaviour, size)
        for name, behaviour, size in zip(company_names(rng, count), behaviours, sizes, strict=True)
    ]


def _invent(rng: random.Random, name: tuple[str, str, str], behaviour: Behaviour, size: int) -> Company:
    naming = rng.choices(list(_NAMING), list(_NAMING.values()))[0]
    scheme = Scheme(naming, draw_forms(rng, naming), draw_spelling(rng))
    beginning, ending, top_level = name
    domain_name = f"{beginning}-{ending}.{top_level}".lower()
    dialect = rng.choice(("postfix", "exim", "exchange", "google"))
    soft = behaviour is Behaviour.ORDINARY and rng.random() < 0.03
    domain = Domain(
        name=domain_name,
        company=f"{beginning} {ending}",
        behaviour=behaviour,
        pattern=scheme.forms[0],
        mail_hosts=(f"mail.{domain_name}",) if soft else mail_hosts(rng, behaviour, domain_name, dialect),
        dialect="postfix-soft" if soft else dialect,
        slowness=_TARPIT_SLOWNESS if behaviour is Behaviour.SLOW and rng.random() < _TARPIT else 1.0,
        recipient_limit=rng.choice((1, 3, 5, 10, 20)),
    )
    return Company(domain, scheme, rng.choice(list(cultures())), size)


def _behaviours(rng: random.Random, count: int) -> list[Behaviour]:
    """Return behaviours in these exact shares, in random order."""
    exact = [behaviour for behaviour, percent in _BEHAVIOURS.items() for _ in range(percent)]
    behaviours = [exact[place * len(exact) // count] for place in range(count)]
    rng.shuffle(behaviours)
    return behaviours


def _sizes(rng: random.Random, people: int, count: int) -> Sequence[int]:
    """Return sizes: 30 % have one contact, 30 % two to nine; the others ten or more, a few of them very many."""
    ones = round(count * _SINGLES)
    few = [rng.randint(2, 9) for _ in range(ones)]
    rest = count - 2 * ones
    remaining = people - ones - sum(few) - 10 * rest
    if remaining < 0:
        raise ValueError(f"{people} people are too few for {count} companies")
    sizes = [10] * rest
    shares = [(rank + 2) ** -0.9 for rank in range(rest)]
    while remaining:
        for place in rng.choices(range(rest), shares, k=remaining):
            if sizes[place] < LARGEST:
                sizes[place] += 1
                remaining -= 1
        if min(sizes) == LARGEST:
            raise ValueError(f"{people} people are too many for {count} companies")
    sizes += [1] * ones + few
    rng.shuffle(sizes)
    return sizes
