"""What finding the only contact of a domain must cost at least, calculated: for docs/decisions/0014-single-contacts.md.

An oracle asks: it knows how a company would spell the name and how common each pattern is, asks the likeliest first,
and gives up after so many. It pays what SMTP makes everybody pay: EHLO, MAIL and QUIT once a domain, a RCPT each
question, and one about an invented address where nothing was refused before the first yes. The shares are those of the
truth set; none is the engine's.
"""

from itertools import accumulate

from sandbox.truth_set.addresses import FORMS

SESSION = 3
"""EHLO, MAIL, QUIT."""
WITHOUT_ADDRESS = 0.12
"""People who have left, whose mailbox is disabled, or whose address follows from no pattern."""
CATCH_ALL = 0.09
"""Of the domains that answer: two questions there, and nothing found."""


def main() -> None:
    """Print recall and commands per found address by when the oracle gives up."""
    total = sum(weight for _, weight in FORMS.values())
    shares = sorted((weight / total for _, weight in FORMS.values()), reverse=True)
    print("asked at most   recall   commands per found   without catch-all domains")
    for most, recall in enumerate(accumulate(shares), start=1):
        figures = (_commands_per_found(shares[:most], catch_all) for catch_all in (CATCH_ALL, 0.0))
        print(f"{most:13}   {recall:6.3f}   " + "   ".join(f"{figure:18.2f}" for figure in figures))


def _commands_per_found(shares: list[float], catch_all: float) -> float:
    most, recall = len(shares), sum(shares)
    until_found = sum(place * share for place, share in enumerate(shares, start=1)) + (1 - recall) * most
    invented = shares[0]
    questions = (1 - WITHOUT_ADDRESS) * (until_found + invented) + WITHOUT_ADDRESS * most
    found = (1 - catch_all) * (1 - WITHOUT_ADDRESS) * recall
    return (SESSION + (1 - catch_all) * questions + catch_all * 2) / found


if __name__ == "__main__":
    main()
