"""The verdict on an address: a pure function of what was seen.

What the server said gives the row, and each risk that is known of the address besides can only lower it:

| seen                                                  | status  | reason                    | score |
| ----------------------------------------------------- | ------- | ------------------------- | ----- |
| accepted, and an invented address refused             | valid   | mailbox_exists            | 97    |
| exists, takes mail too fast at the moment             | risky   | mailbox_busy              | 75    |
| belongs to a function                                 | risky   | role_account              | 70    |
| accepted, whether by a catch-all could not be told    | risky   | server_unclear            | 60    |
| exists, over its quota                                | risky   | mailbox_full              | 50    |
| accepted by a host that is known to refuse later      | risky   | accepts_all_later_bounces | 45    |
| accepted by a catch-all                               | risky   | catch_all                 | 45    |
| at a domain whose name is a slip of a well-known one  | risky   | possible_typo             | 38    |
| at a domain that hands out addresses for minutes      | risky   | disposable                | 36    |
| nobody could tell                                     | unknown | the answer's own          | 30    |
| disabled                                              | invalid | mailbox_disabled          | 3     |
| no such mailbox                                       | invalid | no_such_mailbox           | 2     |
| the domain takes no mail                              | invalid | the route's own           | 1     |
| not an address                                        | invalid | syntax                    | 0     |

Of several risks the worst gives reason and score, less 5 because there are others. The score is how safe it is to
send, in percent as far as anybody can say. It never rises by a further risk or a worse answer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pipeline.mail.replies.meaning import EXISTS, REASONS, Meaning
from pipeline.outcomes import OutcomeStatus, Reason

RISKS: Mapping[Reason, int] = {
    Reason.MAILBOX_BUSY: 75,
    Reason.ROLE_ACCOUNT: 70,
    Reason.SERVER_UNCLEAR: 60,
    Reason.MAILBOX_FULL: 50,
    Reason.ACCEPTS_ALL_LATER_BOUNCES: 45,
    Reason.CATCH_ALL: 45,
    Reason.POSSIBLE_TYPO: 38,
    Reason.DISPOSABLE: 36,
}
"""The score of an address that the server speaks of as existing, by its worst risk."""
_FURTHER_RISKS = 5
_PROVEN = 97
_NOBODY_COULD_TELL = 30


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to think of an address, why, and how safe it is to send to it (0 to 100)."""

    status: OutcomeStatus
    reason: Reason
    score: int


INVALID_SYNTAX = Verdict(OutcomeStatus.INVALID, Reason.SYNTAX, 0)


def verdict_on_route(problem: Reason) -> Verdict:
    """Judge an address whose domain has no mail host that can be asked."""
    if problem in (Reason.DNS_FAILURE, Reason.TIME_LIMIT, Reason.UNUSABLE_MAIL_HOST):
        return verdict_on_nothing(problem)
    return Verdict(OutcomeStatus.INVALID, problem, 1)


def verdict_on_nothing(why: Reason) -> Verdict:
    """Judge an address about which nobody could tell anything."""
    return Verdict(OutcomeStatus.UNKNOWN, why, _NOBODY_COULD_TELL)


@lru_cache(maxsize=1024)
def verdict_on_mailbox(
    meaning: Meaning,
    *,
    catch_all: bool | None,
    role: bool,
    disposable: bool = False,
    misspelled: bool = False,
    later_bounces: bool = False,
) -> Verdict:
    """Judge an address by what its server's answer means.

    `catch_all` says whether the server takes mail for any address (None: could not be told), `later_bounces`
    whether it is known to accept and to refuse later. `role`: the address belongs to a function. `disposable`: its
    domain hands out addresses that live for minutes. `misspelled`: its domain is probably not the one that was
    meant.
    """
    if meaning is Meaning.MAILBOX_DISABLED:
        return Verdict(OutcomeStatus.INVALID, Reason.MAILBOX_DISABLED, 3)
    if meaning is Meaning.NO_SUCH_MAILBOX:
        return Verdict(OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX, 2)
    if meaning not in EXISTS:
        return verdict_on_nothing(REASONS[meaning])
    of_address = {Reason.ROLE_ACCOUNT: role, Reason.DISPOSABLE: disposable, Reason.POSSIBLE_TYPO: misspelled}
    of_answer = _risks_of_answer(meaning, catch_all=catch_all, later_bounces=later_bounces)
    risks = [*of_answer, *(risk for risk, is_so in of_address.items() if is_so)]
    if not risks:
        return Verdict(OutcomeStatus.VALID, Reason.MAILBOX_EXISTS, _PROVEN)
    worst = min(risks, key=RISKS.__getitem__)
    return Verdict(OutcomeStatus.RISKY, worst, RISKS[worst] - _FURTHER_RISKS * (len(risks) > 1))


def _risks_of_answer(meaning: Meaning, *, catch_all: bool | None, later_bounces: bool) -> Iterator[Reason]:
    if meaning is not Meaning.ACCEPTED:
        yield REASONS[meaning]
    elif catch_all is not False and later_bounces:
        yield Reason.ACCEPTS_ALL_LATER_BOUNCES
    elif catch_all is not False:
        yield Reason.CATCH_ALL if catch_all else Reason.SERVER_UNCLEAR
