"""Invented people at invented companies, whose true addresses are known."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from sandbox.domains import Behaviour, Domain
from sandbox.names import Name, draw_name, draw_plain_name
from sandbox.patterns import ROOM, likely_local_parts, local_parts, spell
from sandbox.truth import Mailbox, truth_about


@dataclass(frozen=True, slots=True)
class Person:
    """One contact, and the truth about it.

    `email` is the address that the company gave this person, None where there is none (`mailbox` is `none`).
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
    """The people of one domain, none of whom can be mistaken for another by guessing addresses."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self._mailboxes: set[str] = set()
        self._guesses: set[str] = set()

    def hire(self, rng: random.Random, draw: Callable[[random.Random], Name], mailbox: Mailbox) -> Person:
        """Another person; raises ValueError when the domain's pattern has no room for one."""
        (first_name, last_name), local_part = self._unmistakable(rng, draw)
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

    def _unmistakable(self, rng: random.Random, draw: Callable[[random.Random], Name]) -> tuple[Name, str]:
        for _ in range(1000):
            name = draw(rng)
            local_part = local_parts(*map(spell, name))[self.domain.pattern]
            guesses = likely_local_parts(*name)
            if local_part not in self._guesses and guesses.isdisjoint(self._mailboxes):
                self._guesses |= guesses
                return name, local_part
        raise ValueError(f"{self.domain.name} has no room for another person")


def invent_people(seed: int, count: int, domains: Sequence[Domain]) -> list[Person]:
    """As many people, in no particular order; a few domains have many of them and many have a few.

    Where mail is taken, 8 % have no mailbox, 4 % a full one and 3 % a disabled one. Raises ValueError when
    the patterns of the domains have no room for so many. A million take some 20 seconds.
    """
    rng = random.Random(f"people {seed}")  # noqa: S311 - repeatable is the point
    people = _populate(rng, _sizes(rng, count, domains), draw_name, lambda domain: _draw_mailbox(rng, domain))
    rng.shuffle(people)
    return people


def invent_exactly(
    seed: int, *, valid: int, found_unverified: int, unfindable: int, domains: Sequence[Domain]
) -> list[Person]:
    """People of whom precisely so many can be found and are valid, are found but not valid, can't be found.

    They work at domains that answer at once, and there is one way to spell their names. Half of those who
    can't be found work at domains that settle it for everybody, such as a catch-all. Raises ValueError when
    the domains have no room for them.
    """
    rng = random.Random(f"exactly {seed}")  # noqa: S311 - repeatable is the point
    fast = [domain for domain in domains if domain.behaviour in _FAST]
    dead_ends = [domain for domain in domains if domain.behaviour in _FAST_DEAD_ENDS]
    at_dead_ends = unfindable // 2 if dead_ends else 0
    mailboxes = [Mailbox.OPEN] * valid + [Mailbox.FULL] * found_unverified
    mailboxes += islice(cycle((Mailbox.NONE, Mailbox.DISABLED)), unfindable - at_dead_ends)
    rng.shuffle(mailboxes)
    dealt = iter(mailboxes)
    people = _populate(rng, _sizes(rng, len(mailboxes), fast), draw_plain_name, lambda _: next(dealt))
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
    """How many people each domain has: at least one each if there are enough, then few have many.

    The largest are ordinary, so that how many people can be found depends little on the seed.
    """
    if count and not domains:
        raise ValueError(f"there is no domain for {count} people to work at")
    ranked = sorted(domains, key=lambda domain: rng.random() + (0.0 if domain.behaviour is Behaviour.ORDINARY else 0.3))
    weights = [(rank + 5) ** -1.6 for rank in range(len(ranked))]
    sizes = Counter(ranked[:count])
    if count > sizes.total():
        sizes.update(rng.choices(ranked, weights, k=count - sizes.total()))
    return _within_room(sizes)


def _within_room(sizes: Counter[Domain]) -> Counter[Domain]:
    """The same total, with what exceeds a domain's room moved to domains that have any."""
    fitting = Counter({domain: min(size, ROOM.get(domain.pattern, size)) for domain, size in sizes.items()})
    homeless = sizes.total() - fitting.total()
    roomy = [domain for domain in sizes if domain.pattern not in ROOM]
    if homeless and not roomy:
        raise ValueError(f"these domains have room for {fitting.total()} people, not for {sizes.total()}")
    fitting.update(islice(cycle(roomy), homeless))
    return fitting
