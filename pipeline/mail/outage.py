"""Distinguishes an outage on our side from single bad domains.

Dead domains are common: old lists are full of them. So a failure counts only if nothing has succeeded since the work on
its domain began, and only together with failures that share no domain and no address with it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

ENOUGH = 20
"""Unrelated failures in a row that make an outage. A short list of dead domains only must not look like one: it
completes, and each contact gets its reason."""
OF_ONES_OWN = 3
"""So many of them must be a batch's own: a batch must not be given up for the failures of the batch before it."""
REMEMBERED = 60.0
"""Seconds for which a failure counts: longer than several connection timeouts, and short enough that a run which is
retried after the repair does not fail because of earlier failures."""


@dataclass(frozen=True, slots=True)
class Outage:
    """An outage: a code for programs, and a message for people that says what to do."""

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
    """Counts unrelated failures since the last success. `noted` is the number of all failures that ever counted."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.successes = self.noted = 0
        self._clock = clock
        self._failures: list[tuple[float, frozenset[str]]] = []

    @property
    def is_outage(self) -> bool:
        """Whether the recent failures are so many that the cause must be on our side."""
        return len(self._recent()) >= ENOUGH

    def succeeded(self) -> None:
        self.successes += 1
        self._failures.clear()

    def failed(self, *concerned: str, successes_before: int) -> None:
        """Note a failure that concerns these names and addresses.

        `successes_before` is the value of `successes` when the work on them began.
        """
        self._failures = self._recent()
        related = any(not known.isdisjoint(concerned) for _, known in self._failures)
        if successes_before == self.successes and not related:
            self.noted += 1
            self._failures = [*self._failures[1 - ENOUGH :], (self._clock() + REMEMBERED, frozenset(concerned))]

    def _recent(self) -> list[tuple[float, frozenset[str]]]:
        now = self._clock()
        return [failure for failure in self._failures if now < failure[0]]
