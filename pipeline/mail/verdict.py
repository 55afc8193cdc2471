"""The verdict on an address: a pure function of what was seen.

| seen                                             | status  | reason           | score |
| ------------------------------------------------ | ------- | ---------------- | ----- |
| accepted, and an invented address refused        | valid   | mailbox_exists   | 97    |
| the same, but the address belongs to a function  | risky   | role_account     | 70    |
| accepted, catch-all or not could not be told     | risky   | server_unclear   | 60    |
| exists, takes mail too fast at the moment        | risky   | mailbox_busy     | 75    |
| exists, over its quota                           | risky   | mailbox_full     | 50    |
| accepted by a catch-all                          | risky   | catch_all        | 45    |
| accepted by a catch-all, belongs to a function   | risky   | catch_all        | 40    |
| nobody could tell                                | unknown | the answer's own | 30    |
| disabled                                         | invalid | mailbox_disabled | 3     |
| no such mailbox                                  | invalid | no_such_mailbox  | 2     |
| the domain takes no mail                         | invalid | the route's own  | 1     |
| not an address                                   | invalid | syntax           | 0     |

The score is how likely mail arrives, in percent as far as anybody can say; it falls from each row to the
worse one.
"""

from dataclasses import dataclass

from pipeline.mail.meanings import REASONS, Meaning
from pipeline.outcomes import OutcomeStatus, Reason

_NOBODY_COULD_TELL = 30


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to think of an address, why, and how likely mail to it arrives (0 to 100)."""

    status: OutcomeStatus
    reason: Reason
    score: int


INVALID_SYNTAX = Verdict(OutcomeStatus.INVALID, Reason.SYNTAX, 0)


def verdict_on_route(problem: Reason) -> Verdict:
    """Judge an address whose domain has no mail host that can be asked."""
    if problem in (Reason.DNS_FAILURE, Reason.UNUSABLE_MAIL_HOST):
        return Verdict(OutcomeStatus.UNKNOWN, problem, _NOBODY_COULD_TELL)
    return Verdict(OutcomeStatus.INVALID, problem, 1)


def verdict_on_mailbox(meaning: Meaning, *, catch_all: bool | None, role: bool) -> Verdict:
    """Judge an address by what its server's answer means.

    `catch_all` says whether the server takes mail for any address (None: could not be told), `role` whether
    the address belongs to a function.
    """
    match meaning:
        case Meaning.ACCEPTED:
            return _verdict_on_accepted(catch_all=catch_all, role=role)
        case Meaning.MAILBOX_BUSY:
            return Verdict(OutcomeStatus.RISKY, Reason.MAILBOX_BUSY, 75)
        case Meaning.MAILBOX_FULL:
            return Verdict(OutcomeStatus.RISKY, Reason.MAILBOX_FULL, 50)
        case Meaning.MAILBOX_DISABLED:
            return Verdict(OutcomeStatus.INVALID, Reason.MAILBOX_DISABLED, 3)
        case Meaning.NO_SUCH_MAILBOX:
            return Verdict(OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX, 2)
    return Verdict(OutcomeStatus.UNKNOWN, REASONS[meaning], _NOBODY_COULD_TELL)


def _verdict_on_accepted(*, catch_all: bool | None, role: bool) -> Verdict:
    if catch_all:
        return Verdict(OutcomeStatus.RISKY, Reason.CATCH_ALL, 40 if role else 45)
    if catch_all is None:
        return Verdict(OutcomeStatus.RISKY, Reason.SERVER_UNCLEAR, 60)
    if role:
        return Verdict(OutcomeStatus.RISKY, Reason.ROLE_ACCOUNT, 70)
    return Verdict(OutcomeStatus.VALID, Reason.MAILBOX_EXISTS, 97)
