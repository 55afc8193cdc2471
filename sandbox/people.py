"""Invented people at invented companies, whose true addresses are known."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from sandbox.domains import Behaviour, Domain
from sandbox.names import Name, draw_name, draw_plain_name
from sandbox.patterns import MOST_PEOPLE, likely_local_parts, local_parts, spell
from sandbox.truth import Mailbox, truth_about


@dataclass(frozen=True, slots=True)
class Person:
    """One contact, and the truth about it.

    `email` is the person's address at the company, None if there is none (`mailbox` is `none`).
    `findable`, `verdict` and `reason_not_found` are explained by `sandbox.truth.Truth`.
    """

    first_name: str
    last_name: str
    company: str
    domain: str
    crm_id: str
    email: str | None
    mailbox: Mailbox
    findable: bool
    verdict: str | None
    reason_not_found: str | None


_FAST = {
    Behaviour.ORDINARY,
    Behaviour.NO_MX_BUT_ADDRESS,
    Behaviour.RECIPIENT_LIMIT,
    Behaviour.NO_PIPELINING,
    Behaviour.FIRST_MX_DEAD,
    Behaviour.ALIASED_MX,
}
"""Behaviours that reveal every mailbox at once."""

_FAST_DEAD_ENDS = {Behaviour.CATCH_ALL, Behaviour.NO_MAIL_SERVER, Behaviour.NO_SUCH_DOMAIN, Behaviour.NULL_MX}
"""Behaviours that show at once that nothing can be found."""


class _Staff:
    """The people of one domain. No candidate address of one of them is the address of another."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self._mailboxes: set[str] = set()
        self._candidates: set[str] = set()

    def hire(self, rng: random.Random, draw: Callable[[random.Random], Name], mailbox: Mailbox) -> Person:
        """Add a person. Raises ValueError if the domain's pattern allows no more people."""
        (first_name, last_name), local_part = self._draw_distinct(rng, draw)
        if mailbox is not Mailbox.NONE:
            self._mailboxes.add(local_part)
        findable, verdict, reason_not_found = truth_about(self.domain, mailbox)
        return Person(
            first_name=first_name,
            last_name=last_name,
            company=self.domain.company,
            domain=self.domain.name,
            crm_id=f"{rng.getrandbits(64):016x}",
            email=None if mailbox is Mailbox.NONE else f"{local_part}@{self.domain.name}",
            mailbox=mailbox,
            findable=findable,
            verdict=verdict,
            reason_not_found=reason_not_found,
        )

    def _draw_distinct(self, rng: random.Random, draw: Callable[[random.Random], Name]) -> tuple[Name, str]:
        for _ in range(1000):
            name = draw(rng)
            local_part = local_parts(*map(spell, name))[self.domain.pattern]
            candidates = likely_local_parts(*name)
            if local_part not in self._candidates and candidates.isdisjoint(self._mailboxes):
                self._candidates |= candidates
                return name, local_part
        raise ValueError(f"{self.domain.name} has no room for another person")


def invent_people(seed: int, count: int, domains: Sequence[Domain]) -> list[Person]:
    """Invent `count` people, in random order; a few domains have many of them, and many domains have a few.

    Where mail is accepted, 8 % have no mailbox, 4 % a full one and 3 % a disabled one. Raises ValueError if the
    patterns of the domains allow fewer people. A million take some 20 seconds.
    """
    rng = random.Random(f"people {seed}")  # noqa: S311 - must be repeatable
    people = _populate(rng, _sizes(rng, count, domains), draw_name, lambda domain: _draw_mailbox(rng, domain))
    rng.shuffle(people)
    return people


def invent_exactly(
    seed: int, *, valid: int, found_unverified: int, unfindable: int, domains: Sequence[Domain]
) -> list[Person]:
    """Invent exactly so many people with a valid address, with one that is found but not valid, and unfindable.

    They work at domains that answer at once, and their names have one spelling. Half of the unfindable ones work at
    domains where nobody can be found, such as a catch-all. Raises ValueError if the patterns of the domains allow fewer
    people.
    """
    rng = random.Random(f"exactly {seed}")  # noqa: S311 - must be repeatable
    fast = [domain for domain in domains if domain.behaviour in _FAST]
    dead_ends = [domain for domain in domains if domain.behaviour in _FAST_DEAD_ENDS]
    at_dead_ends = unfindable // 2 if dead_ends else 0
    mailboxes = [Mailbox.OPEN] * valid + [Mailbox.FULL] * found_unverified
    mailboxes += islice(cycle((Mailbox.NONE, Mailbox.DISABLED)), unfindable - at_dead_ends)
    rng.shuffle(mailboxes)
    shuffled = iter(mailboxes)
    people = _populate(rng, _sizes(rng, len(mailboxes), fast), draw_plain_name, lambda _: next(shuffled))
    people += _populate(
        rng,
        _sizes(rng, at_dead_ends, dead_ends),
        draw_plain_name,
        lambda domain: _draw_mailbox(rng, domain),
    )
    rng.shuffle(people)
    return people


def _populate(
    rng: random.Random,
    sizes: Counter[Domain],
    draw: Callable[[random.Random], Name],
    mailbox_at: Callable[[Domain], Mailbox],
) -> list[Person]:
    people = []
    for domain, size in sizes.items():
        staff = _Staff(domain)
        people += [staff.hire(rng, draw, mailbox_at(domain)) for _ in range(size)]
    return people


def _draw_mailbox(rng: random.Random, domain: Domain) -> Mailbox:
    if not domain.living_hosts:
        return Mailbox.NONE
    return rng.choices((Mailbox.OPEN, Mailbox.NONE, Mailbox.FULL, Mailbox.DISABLED), (85, 8, 4, 3))[0]


def _sizes(rng: random.Random, count: int, domains: Sequence[Domain]) -> Counter[Domain]:
    """Return the number of people of each domain: at least one if there are enough, and many at a few of them.

    The largest domains are ordinary, so that the share of findable people depends little on the seed.
    """
    if count and not domains:
        raise ValueError(f"there is no domain for {count} people to work at")
    ranked = sorted(domains, key=lambda domain: rng.random() + (0.0 if domain.behaviour is Behaviour.ORDINARY else 0.3))
    weights = [(rank + 5) ** -1.6 for rank in range(len(ranked))]
    sizes = Counter(ranked[:count])
    if count > sizes.total():
        sizes.update(rng.choices(ranked, weights, k=count - sizes.total()))
    return _within_limits(sizes)


def _within_limits(sizes: Counter[Domain]) -> Counter[Domain]:
    """Return the same total, with people above a domain's limit moved to domains without a limit."""
    fitting = Counter({domain: min(size, MOST_PEOPLE.get(domain.pattern, size)) for domain, size in sizes.items()})
    excess = sizes.total() - fitting.total()
    unlimited = [domain for domain in sizes if domain.pattern not in MOST_PEOPLE]
    if excess and not unlimited:
        raise ValueError(f"these domains have room for {fitting.total()} people, not for {sizes.total()}")
    fitting.update(islice(cycle(unlimited), excess))
    return fitting
