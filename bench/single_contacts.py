"""Calculates the least cost of finding the only contact of a domain, for docs/decisions/0014-single-contacts.md.

The search is that of an oracle, which knows how a company spells the name and how common each pattern is, probes the
likeliest first, and stops after some probes. It pays what SMTP requires: EHLO, MAIL and QUIT once per domain, a
RCPT per probe, and one for a random address if nothing was refused before the first acceptance. The shares are those
of the truth set; none is the engine's.
"""

from itertools import accumulate

from bench.reporting.results import publish
from bench.reporting.turns import Table
from sandbox.truth_set.addresses import FORMS

SESSION = 3
"""EHLO, MAIL, QUIT."""
WITHOUT_ADDRESS = 0.12
"""People who have left, whose mailbox is disabled, or whose address follows from no pattern."""
CATCH_ALL = 0.09
"""The share of catch-alls among domains that answer: two probes there, and nothing found."""


def main() -> None:
    """Print recall and commands per found address, by the probes after which the oracle stops."""
    total = sum(weight for _, weight in FORMS.values())
    shares = sorted((weight / total for _, weight in FORMS.values()), reverse=True)
    table = Table()
    for most, recall in enumerate(accumulate(shares), start=1):
        row = f"{most} probes at most"
        table.add(row, "recall", [round(recall, 3)])
        table.add(row, "commands per found address", [_commands_per_found(shares[:most], CATCH_ALL)])
        table.add(row, "without catch-all domains", [_commands_per_found(shares[:most], 0.0)])
    least = min(_commands_per_found(shares[:most], CATCH_ALL) for most in range(1, len(shares)))
    figures = {"least_commands_per_found": round(least, 2)}
    publish("single_contacts", "The only contact of a domain, found by an oracle", table, figures)


def _commands_per_found(shares: list[float], catch_all: float) -> float:
    most, recall = len(shares), sum(shares)
    until_found = sum(place * share for place, share in enumerate(shares, start=1)) + (1 - recall) * most
    random_probe = shares[0]
    probes = (1 - WITHOUT_ADDRESS) * (until_found + random_probe) + WITHOUT_ADDRESS * most
    found = (1 - catch_all) * (1 - WITHOUT_ADDRESS) * recall
    return (SESSION + (1 - catch_all) * probes + catch_all * 2) / found


if __name__ == "__main__":
    main()
