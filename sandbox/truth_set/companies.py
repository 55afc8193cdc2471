"""The companies of a truth set: their domains, their servers' habits, how many people they have, how they name them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.domains import Domain, Habit, company_names, mail_hosts
from sandbox.truth_set.addresses import Naming, Scheme, draw_forms
from sandbox.truth_set.cultures import cultures
from sandbox.truth_set.spelling import draw_spelling

LARGEST = 300

_HABITS = {
    Habit.ORDINARY: 61,
    Habit.CATCH_ALL: 8,
    Habit.GREYLISTING: 4,
    Habit.RECIPIENT_LIMIT: 4,
    Habit.SLOW: 3,
    Habit.NO_SUCH_DOMAIN: 3,
    Habit.NO_MAIL_SERVER: 2,
    Habit.NOTHING_LISTENS: 2,
    Habit.NULL_MX: 2,
    Habit.NO_MX_BUT_ADDRESS: 2,
    Habit.NO_PIPELINING: 2,
    Habit.FIRST_MX_DEAD: 2,
    Habit.REFUSING: 2,
    Habit.REFUSING_AT_BANNER: 1,
    Habit.ALIASED_MX: 1,
    Habit.DNS_SERVFAIL: 1,
}
"""Percent of the domains."""
_NAMING = {Naming.SINGLE: 70, Naming.MIXED: 12, Naming.LEGACY: 9, Naming.NUMBERED: 9}
_TARPIT = 0.3
"""Of the slow servers, those that hold every reply back for longer than anybody waits."""
_TARPIT_SLOWNESS = 100.0
_SINGLES = 0.3
"""Of all domains, those with one contact; as many have two to nine."""


@dataclass(frozen=True, slots=True)
class Company:
    """One company; `size` is how many of its people are in the truth set, `culture` where most of them are from."""

    domain: Domain
    scheme: Scheme
    culture: str
    size: int


def invent_companies(seed: int, people: int, count: int) -> list[Company]:
    """As many companies, with so many people in all. Raises ValueError for more than there are names."""
    rng = random.Random(f"companies {seed}")  # noqa: S311 - repeatable is the point
    sizes, habits = _sizes(rng, people, count), _habits(rng, count)
    return [
        _invent(rng, name, habit, size)
        for name, habit, size in zip(company_names(rng, count), habits, sizes, strict=True)
    ]


def _invent(rng: random.Random, name: tuple[str, str, str], habit: Habit, size: int) -> Company:
    naming = rng.choices(list(_NAMING), list(_NAMING.values()))[0]
    scheme = Scheme(naming, draw_forms(rng, naming), draw_spelling(rng))
    beginning, ending, top_level = name
    domain_name = f"{beginning}-{ending}.{top_level}".lower()
    dialect = rng.choice(("postfix", "exim", "exchange", "google"))
    soft = habit is Habit.ORDINARY and rng.random() < 0.03
    domain = Domain(
        name=domain_name,
        company=f"{beginning} {ending}",
        habit=habit,
        pattern=scheme.forms[0],
        mail_hosts=(f"mail.{domain_name}",) if soft else mail_hosts(rng, habit, domain_name, dialect),
        dialect="postfix-soft" if soft else dialect,
        slowness=_TARPIT_SLOWNESS if habit is Habit.SLOW and rng.random() < _TARPIT else 1.0,
        recipient_limit=rng.choice((1, 3, 5, 10, 20)),
    )
    return Company(domain, scheme, rng.choice(list(cultures())), size)


def _habits(rng: random.Random, count: int) -> list[Habit]:
    """In these shares whatever the seed, and as they fall."""
    exact = [habit for habit, percent in _HABITS.items() for _ in range(percent)]
    habits = [exact[place * len(exact) // count] for place in range(count)]
    rng.shuffle(habits)
    return habits


def _sizes(rng: random.Random, people: int, count: int) -> Sequence[int]:
    """Three of ten have one contact, three have two to nine, the rest share what is left, a few of them most of it."""
    ones = round(count * _SINGLES)
    few = [rng.randint(2, 9) for _ in range(ones)]
    rest = count - 2 * ones
    left = people - ones - sum(few) - 10 * rest
    if left < 0:
        raise ValueError(f"{people} people are too few for {count} companies")
    sizes = [10] * rest
    shares = [(rank + 2) ** -0.9 for rank in range(rest)]
    while left:
        for place in rng.choices(range(rest), shares, k=left):
            if sizes[place] < LARGEST:
                sizes[place] += 1
                left -= 1
        if min(sizes) == LARGEST:
            raise ValueError(f"{people} people are too many for {count} companies")
    sizes += [1] * ones + few
    rng.shuffle(sizes)
    return sizes
