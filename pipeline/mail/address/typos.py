"""Recognises typos of well-known mail domains, such as `gamil.com`.

The result is a hint for people: the verdict is about the address as it was given.
"""
# ruff: noqa: SIM905 - a block of words is easier to read and to extend than a list of strings

from functools import lru_cache

from pipeline.mail.address.lists import FREE_DOMAINS

WELL_KNOWN = tuple(
    """
    gmail.com yahoo.com hotmail.com outlook.com icloud.com aol.com googlemail.com live.com msn.com protonmail.com
    proton.me gmx.de gmx.net web.de t-online.de freenet.de arcor.de yahoo.de hotmail.de outlook.de yahoo.co.uk
    hotmail.co.uk live.co.uk btinternet.com virginmedia.com talktalk.net yahoo.fr hotmail.fr outlook.fr live.fr
    orange.fr wanadoo.fr laposte.net libero.it yahoo.it hotmail.it virgilio.it tiscali.it yahoo.es hotmail.es outlook.es
    comcast.net verizon.net sbcglobal.net bellsouth.net charter.net att.net cox.net ymail.com rocketmail.com
    yandex.ru rambler.ru yahoo.com.br hotmail.com.br outlook.com.br uol.com.br terra.com.br yahoo.co.in
    rediffmail.com yahoo.co.jp yahoo.com.au bigpond.com naver.com zoho.com fastmail.com mail.com seznam.cz centrum.cz
    bluewin.ch telenet.be skynet.be ziggo.nl
    """.split()
)
"""The domains that are suggested, the most popular first: of equally likely ones the first is taken."""
REAL_NEIGHBOURS = frozenset("cloud.com gail.com gmall.com liveo.com liver.com outlock.com yahho.com zoho.co".split())
"""Domains that look like a typo and are not one."""
ONE_HOME = {"gmail": "gmail.com", "googlemail": "googlemail.com", "icloud": "icloud.com"}
"""Services that have only this domain, under no other top-level domain."""

_KEYBOARD = ("1234567890-", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_FAR = 1.5
"""The cost of a letter that is not next to the intended one on the keyboard; every other typo costs 1."""


def _neighbours() -> frozenset[tuple[str, str]]:
    """Pairs of keys that are next to each other on Latin keyboards (on some z and y are swapped)."""
    at = {key: (x + 0.5 * y, y) for y, row in enumerate(_KEYBOARD) for x, key in enumerate(row)}
    near = {
        (a, b)
        for a, (ax, ay) in at.items()
        for b, (bx, by) in at.items()
        if a != b and abs(ax - bx) <= 1 and abs(ay - by) <= 1
    }
    return frozenset(near | {("y", "z"), ("z", "y")})


_NEAR = _neighbours()


@lru_cache(maxsize=10_000)
def did_you_mean(domain: str) -> str | None:
    """Return the well-known mail domain of which a domain (lower case) is probably a typo.

    None if there is no such domain, or if the domain is itself known for mail.
    """
    if domain in FREE_DOMAINS or domain in WELL_KNOWN or domain in REAL_NEIGHBOURS:
        return None
    label, _, ending = domain.partition(".")
    if label in ONE_HOME:
        return ONE_HOME[label]
    letters = _letters(label)
    # Each typo adds one letter, removes one, or both: that alone rules out most domains.
    alike = [known for known, its_letters, most in _LETTERS if (letters ^ its_letters).bit_count() <= most]
    costs = {known: cost for known in alike if (cost := _cost(label, ending, known)) is not None}
    return min(costs, key=lambda known: costs[known], default=None)


def _cost(label: str, ending: str, known: str) -> float | None:
    """Return the distance between the two domains; None if it is too large for a typo."""
    known_label, _, known_ending = known.partition(".")
    allowed = _allowed_in_label(known_label)
    if not _may_begin(label, known_label):
        return None
    of_label = 0.0 if label == known_label else _distance(label, known_label)
    if of_label > allowed:
        return None
    of_ending = 0.0 if ending == known_ending else _distance(ending, known_ending)
    return of_label + of_ending if of_ending <= _allowed_in_ending(label, ending, known_ending) else None


def _may_begin(label: str, known: str) -> bool:
    """Typos in the first letter are rare, and many real names differ only in it (mail.com, cloud.com)."""
    return label[0] == known[0] or label[:2] == known[1::-1] or (label[0], known[0]) in _NEAR


def _allowed_in_label(known: str) -> float:
    """A short name is close to too many others."""
    for longest, allowed in ((4, 0.0), (6, 1.0), (8, _FAR)):
        if len(known) <= longest:
            return allowed
    return 2.0


def _allowed_in_ending(label: str, ending: str, known: str) -> float:
    """`.con` is no top-level domain, but `.co` is; and `.ch` instead of `.de` is intended."""
    shortest = 5 if len(ending) == 2 else 3
    return 1.0 if len(known) > 2 and len(label) >= shortest else 0.0


def _distance(typed: str, meant: str) -> float:
    """Optimal string alignment distance; letters that are not neighbours on the keyboard cost more."""
    before: list[float] = []
    row = [float(column) for column in range(len(meant) + 1)]
    for i, a in enumerate(typed, start=1):
        older, before, row = before, row, [float(i)]
        for j, b in enumerate(meant, start=1):
            mistaken = 0.0 if a == b else 1.0 if (a, b) in _NEAR else _FAR
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + mistaken)
            if i > 1 and j > 1 and a == meant[j - 2] and typed[i - 2] == b:
                best = min(best, older[j - 2] + 1)
            row.append(best)
    return row[-1]


def _letters(label: str) -> int:
    """The set of letters as bits, for a quick comparison with all well-known domains."""
    bits = 0
    for letter in label:
        bits |= 1 << (ord(letter) & 0x7F)
    return bits


_LETTERS = [
    (known, _letters(label), 2 * _allowed_in_label(label))
    for known in WELL_KNOWN
    for label in [known.partition(".")[0]]
]
