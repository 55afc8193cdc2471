"""How a company assigns local parts: its pattern, or several, and what it does when one is taken."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sandbox.truth_set.cultures import TrueName
from sandbox.truth_set.spelling import Spelling

Form = Callable[[str, str], str]

FORMS: Mapping[str, tuple[Form, float]] = {
    "first.last": (lambda first, last: f"{first}.{last}", 36),
    "flast": (lambda first, last: f"{first[0]}{last}", 13),
    "first": (lambda first, last: first, 4.5),  # noqa: ARG005
    "firstl": (lambda first, last: f"{first}{last[0]}", 4),
    "f.last": (lambda first, last: f"{first[0]}.{last}", 3),
    "lastfirst": (lambda first, last: f"{last}{first}", 2),
    "last": (lambda first, last: last, 2),  # noqa: ARG005
    "firstlast": (lambda first, last: f"{first}{last}", 1.6),
    "last.first": (lambda first, last: f"{last}.{first}", 1.5),
    "first_last": (lambda first, last: f"{first}_{last}", 1.3),
    "lastf": (lambda first, last: f"{last}{first[0]}", 1.2),
    "first.l": (lambda first, last: f"{first}.{last[0]}", 1),
    "first-last": (lambda first, last: f"{first}-{last}", 0.8),
    "fl": (lambda first, last: f"{first[0]}{last[0]}", 0.5),
    "f_last": (lambda first, last: f"{first[0]}_{last}", 0.4),
    "last.f": (lambda first, last: f"{last}.{first[0]}", 0.3),
    "last_first": (lambda first, last: f"{last}_{first}", 0.2),
}
"""Each form with its weight. The common ones have published shares, the rare ones estimates."""


class Naming(StrEnum):
    """How consistently a company assigns local parts."""

    SINGLE = "single"
    """One pattern for everybody."""
    MIXED = "mixed"
    """Two or three patterns side by side."""
    LEGACY = "legacy"
    """The older quarter of the people still has an older pattern."""
    NUMBERED = "numbered"
    """One pattern; a second person with the same local part gets a number."""


_SHARES = {
    Naming.SINGLE: (1.0,),
    Naming.MIXED: (0.7, 0.2, 0.1),
    Naming.LEGACY: (0.75, 0.25),
    Naming.NUMBERED: (1.0,),
}
_FULLER = ("first.last", "last.first", "firstlast")


@dataclass(frozen=True, slots=True)
class Scheme:
    """One company's patterns, the main one first, its consistency and its spelling."""

    naming: Naming
    forms: tuple[str, ...]
    spelling: Spelling

    def local_part(self, rng: random.Random, name: TrueName, taken: set[str]) -> tuple[str, bool]:
        """Draw a new colleague's local part. Returns it, and whether it follows from the name alone."""
        first, last = self.spelling.given(name), self.spelling.family(name)
        form = rng.choices(self.forms, _SHARES[self.naming][: len(self.forms)])[0]
        usual = FORMS[form][0](first, last)
        if usual not in taken:
            return usual, True
        fuller = [FORMS[other][0](first, last) for other in _FULLER]
        free = next((local for local in fuller if local not in taken), None)
        if free and self.naming is not Naming.NUMBERED:
            return free, True
        number = next(number for number in range(2, len(taken) + 3) if f"{usual}{number}" not in taken)
        return f"{usual}{number}", False


def draw_forms(rng: random.Random, naming: Naming) -> tuple[str, ...]:
    """Draw the patterns of one company."""
    names, weights = list(FORMS), [weight for _, weight in FORMS.values()]
    forms: list[str] = []
    while len(forms) < len(_SHARES[naming]):
        form = rng.choices(names, weights)[0]
        if form not in forms:
            forms.append(form)
    return tuple(forms)
