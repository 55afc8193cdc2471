"""Tells that the outside world is gone as a whole, apart from single bad domains.

A dead domain is everyday: old lists are full of them. So a failure only counts if nobody else succeeded since its
domain was begun, and only beside failures that have no domain and no address in common with it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

ENOUGH = 20
"""Unrelated failures in a row that make an outage. A short list of nothing but dead domains must not look like one:
it completes, and each contact gets its reason."""
OF_ONES_OWN = 3
"""Of these so many must be a batch's own, or it would be taken for lost for what the batch before it asked about."""
REMEMBERED = 60.0
"""Seconds that a failure counts. Longer than several time limits for connecting, and short enough that a run which
is tried again after the repair is not failed by what was before."""


@dataclass(frozen=True, slots=True)
class Outage:
    """What is gone, as a word for programs, and what to do, as sentences for people."""

    code: str
    message: str


NO_RESOLVER = Outage(
    "no_resolver",
    "No DNS resolver answers. Check the machine's network and the resolvers it is configured with"
    " (`growth doctor --mail-domain` with a domain of your own tells), then try again.",
)
SMTP_PORT_BLOCKED = Outage(
    "smtp_port_blocked",
    "No mail server can be reached: every connection is refused or times out. Most clouds block outgoing port 25:"
    " ask yours to open it, run the workers where it is open, or have a remote verifier ask (VERIFIER_URL);"
    " `growth doctor --mail-domain` with a domain of your own tells. Then try again.",
)


class FailuresInARow:
    """Counts unrelated failures since the last success; any success clears them. `noted` are all that ever counted."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.successes = self.noted = 0
        self._clock = clock
        self._failures: list[tuple[float, frozenset[str]]] = []

    @property
    def is_outage(self) -> bool:
        """Whether so much failed lately, and nothing succeeded, that the cause must be on our side."""
        return len(self._recent()) >= ENOUGH

    def succeeded(self) -> None:
        """Note that somebody out there was heard of."""
        self.successes += 1
        self._failures.clear()

    def failed(self, *concerned: str, successes_before: int) -> None:
        """Note a failure of the names and addresses `concerned`.

        `successes_before` is how many `successes` there were when their turn began.
        """
        self._failures = self._recent()
        related = any(not known.isdisjoint(concerned) for _, known in self._failures)
        if successes_before == self.successes and not related:
            self.noted += 1
            self._failures = [*self._failures[1 - ENOUGH :], (self._clock() + REMEMBERED, frozenset(concerned))]

    def _recent(self) -> list[tuple[float, frozenset[str]]]:
        now = self._clock()
        return [failure for failure in self._failures if now < failure[0]]
