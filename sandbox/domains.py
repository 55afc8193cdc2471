"""Invented companies' domains, and the behaviours of their name and mail servers."""
# ruff: noqa: SIM905 - a block of words is easier to read and to extend than a list of strings

import random
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, product, repeat

from sandbox.patterns import draw_pattern


class Behaviour(StrEnum):
    """How a domain's name servers and mail servers behave."""

    ORDINARY = "ordinary"
    """Accepts mail for its mailboxes, refuses it for all others."""
    CATCH_ALL = "catch_all"
    """Accepts every recipient, so acceptance proves nothing."""
    NO_MX_BUT_ADDRESS = "no_mx_but_address"
    """Has no MX but an address that accepts mail: the implicit MX of RFC 5321 section 5.1."""
    NO_MAIL_SERVER = "no_mail_server"
    """Exists, but has neither MX nor address."""
    NOTHING_LISTENS = "nothing_listens"
    """Has no MX but an address, where connections are refused."""
    NO_SUCH_DOMAIN = "no_such_domain"
    """NXDOMAIN."""
    NULL_MX = "null_mx"
    """Declares that it accepts no mail (RFC 7505), and has the address of a web server."""
    GREYLISTING = "greylisting"
    """Answers 451 4.7.1 to a new client, sender and recipient, and accepts them after the greylist delay."""
    REFUSING = "refusing"
    """Answers 554 5.7.1 with a blocklist's name to every recipient, whether the mailbox exists or not."""
    REFUSING_AT_BANNER = "refusing_at_banner"
    """Greets with 554 5.7.1 and a blocklist's name, and hangs up."""
    SLOW = "slow"
    """Delays every reply."""
    NO_PIPELINING = "no_pipelining"
    """Does not offer PIPELINING, and hangs up with 554 on a client that does not wait for replies."""
    RECIPIENT_LIMIT = "recipient_limit"
    """Answers 452 4.5.3 to the recipients of a transaction over a limit."""
    FIRST_MX_DEAD = "first_mx_dead"
    """The preferred MX refuses connections; the second works."""
    ALIASED_MX = "aliased_mx"
    """The MX names an alias (CNAME): forbidden by RFC 2181 section 10.3, but real."""
    DNS_SERVFAIL = "dns_servfail"
    """Its name servers answer SERVFAIL."""


RECIPIENT_LIMIT = 5
"""Recipients per transaction where `Behaviour.RECIPIENT_LIMIT` holds, unless the domain has another limit."""


@dataclass(frozen=True, slots=True)
class Domain:
    """One company's domain: `pattern` is a key of `PATTERN_WEIGHTS`, `dialect` one of `DIALECTS`.

    `mail_hosts` are host names, the preferred one first. A host may serve several domains, which then have its dialect.
    `slowness` multiplies the delay of a slow domain. `recipient_limit` is the number of recipients that a transaction
    may have where there is a limit.
    """

    name: str
    company: str
    behaviour: Behaviour
    pattern: str
    mail_hosts: tuple[str, ...]
    dialect: str
    slowness: float = 1.0
    recipient_limit: int = RECIPIENT_LIMIT

    @property
    def is_tarpit(self) -> bool:
        """Whether its replies come later than any client waits for them."""
        return self.behaviour is Behaviour.SLOW and self.slowness > 1

    @property
    def living_hosts(self) -> tuple[str, ...]:
        """The mail hosts that accept connections."""
        if self.behaviour is Behaviour.FIRST_MX_DEAD:
            return self.mail_hosts[1:]
        return () if self.behaviour is Behaviour.NOTHING_LISTENS else self.mail_hosts


_IN_SIXTY = {
    Behaviour.CATCH_ALL: 4,
    Behaviour.NO_MX_BUT_ADDRESS: 2,
    Behaviour.NO_MAIL_SERVER: 2,
    Behaviour.NO_SUCH_DOMAIN: 2,
    Behaviour.NULL_MX: 2,
    Behaviour.GREYLISTING: 2,
    Behaviour.RECIPIENT_LIMIT: 2,
    Behaviour.FIRST_MX_DEAD: 2,
    Behaviour.REFUSING: 1,
    Behaviour.REFUSING_AT_BANNER: 1,
    Behaviour.SLOW: 1,
    Behaviour.NO_PIPELINING: 1,
    Behaviour.ALIASED_MX: 1,
    Behaviour.NOTHING_LISTENS: 1,
    Behaviour.DNS_SERVFAIL: 1,
}
_UNUSUAL = tuple(chain.from_iterable(repeat(behaviour, times) for behaviour, times in _IN_SIXTY.items()))
BEHAVIOURS = (Behaviour.ORDINARY,) * (60 - len(_UNUSUAL)) + _UNUSUAL
"""The behaviours of sixty domains. More domains repeat them from the start, fewer have only the first ones."""

_HOSTED = {
    "google": ("mx1.harbor-mail.example", "mx2.harbor-mail.example"),
    "exchange": ("inbound.cloudpost-mail.example",),
    "postfix": ("mx-a.letterbox-mail.example", "mx-b.letterbox-mail.example"),
}
"""Mail providers: each serves several domains."""

_COMPANY_BEGINNINGS = tuple(
    """
    Amber Arctic Aspen Atlas Beacon Birch Blue Bright Cedar Cobalt Copper Coral Crescent Delta Ember
    Falcon Fjord Flint Granite Harbor Hazel Indigo Juniper Kestrel Lantern Lunar Maple Meridian Northwind
    Oak Onyx Orchard Pebble Pine Quarry River Saffron Silver Summit Willow
    """.split()
)
_COMPANY_ENDINGS = tuple(
    """
    Analytics Bakery Capital Ceramics Consulting Dynamics Energy Foods Foundry Freight Health Instruments
    Labs Legal Logistics Media Optics Partners Robotics Seeds Software Studio Systems Textiles Tools
    Travel Works Yards
    """.split()
)
_TOP_LEVEL = ("test", "example")


def invent_domains(seed: int, count: int = 60) -> tuple[Domain, ...]:
    """Invent domains under .test and .example (RFC 2606). 60 or more cover every behaviour.

    Raises ValueError for more than 2,240, since there are no more names.
    """
    rng = random.Random(f"domains {seed}")  # noqa: S311 - must be repeatable
    names = company_names(rng, count)
    return tuple(_invent(rng, BEHAVIOURS[position % len(BEHAVIOURS)], *name) for position, name in enumerate(names))


def company_names(rng: random.Random, count: int) -> list[tuple[str, str, str]]:
    """Draw names of companies: a beginning, an ending and a top-level domain each.

    Raises ValueError for more than there are.
    """
    return rng.sample(list(product(_COMPANY_BEGINNINGS, _COMPANY_ENDINGS, _TOP_LEVEL)), count)


def _invent(rng: random.Random, behaviour: Behaviour, beginning: str, ending: str, top_level: str) -> Domain:
    name = f"{beginning}-{ending}.{top_level}".lower()
    dialect = rng.choice(("postfix", "exim", "exchange", "google"))
    return Domain(
        name=name,
        company=f"{beginning} {ending}",
        behaviour=behaviour,
        pattern=draw_pattern(rng),
        mail_hosts=mail_hosts(rng, behaviour, name, dialect),
        dialect=dialect,
    )


def mail_hosts(rng: random.Random, behaviour: Behaviour, name: str, dialect: str) -> tuple[str, ...]:
    """Return the hosts that accept a domain's mail, the preferred one first: its own, or a provider's."""
    match behaviour:
        case Behaviour.NO_MAIL_SERVER | Behaviour.NO_SUCH_DOMAIN | Behaviour.NULL_MX | Behaviour.DNS_SERVFAIL:
            return ()
        case Behaviour.NO_MX_BUT_ADDRESS | Behaviour.NOTHING_LISTENS:
            return (name,)
        case Behaviour.FIRST_MX_DEAD:
            return (f"mx1.{name}", f"mx2.{name}")
        case Behaviour.ORDINARY | Behaviour.CATCH_ALL if dialect in _HOSTED and rng.random() < 0.5:
            return _HOSTED[dialect]
        case _:
            return (f"mail.{name}",)
