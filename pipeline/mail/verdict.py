"""The verdict on an address, as a pure function of the answers and facts.

The server's answer gives a row of this table; each known risk of the address can only lower the verdict:

| known                                                 | status  | reason                    | score |
| ----------------------------------------------------- | ------- | ------------------------- | ----- |
| accepted, and a random address refused                | valid   | mailbox_exists            | 97    |
| exists, gets mail too fast at the moment              | risky   | mailbox_busy              | 75    |
| belongs to a function                                 | risky   | role_account              | 70    |
| accepted, unknown whether by a catch-all              | risky   | server_unclear            | 60    |
| exists, over its quota                                | risky   | mailbox_full              | 50    |
| accepted by a host that is known to refuse later      | risky   | accepts_all_later_bounces | 45    |
| accepted by a catch-all                               | risky   | catch_all                 | 45    |
| at a domain that looks like a typo of a known one     | risky   | possible_typo             | 38    |
| at a domain of disposable addresses                   | risky   | disposable                | 36    |
| no conclusive answer                                  | unknown | the answer's own          | 30    |
| disabled                                              | invalid | mailbox_disabled          | 3     |
| no such mailbox                                       | invalid | no_such_mailbox           | 2     |
| the domain takes no mail                              | invalid | the route's own           | 1     |
| not an address                                        | invalid | syntax                    | 0     |

Of several risks the worst gives reason and score, less 5 because there are others. The score estimates, in percent, how
safe it is to send. Neither a further risk nor a worse answer ever raises it.
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
"""The score of an address that exists according to the server, by its worst risk."""
_FURTHER_RISKS = 5
_PROVEN = 97
_UNKNOWN = 30


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status of an address, its reason, and how safe it is to send to it (0 to 100)."""

    status: OutcomeStatus
    reason: Reason
    score: int


INVALID_SYNTAX = Verdict(OutcomeStatus.INVALID, Reason.SYNTAX, 0)


def verdict_on_route(problem: Reason) -> Verdict:
    """Judge an address whose domain has no mail host that can be probed."""
    if problem in (Reason.DNS_FAILURE, Reason.TIME_LIMIT, Reason.UNUSABLE_MAIL_HOST):
        return verdict_unknown(problem)
    return Verdict(OutcomeStatus.INVALID, problem, 1)


def verdict_unknown(why: Reason) -> Verdict:
    """Judge an address without a conclusive answer."""
    return Verdict(OutcomeStatus.UNKNOWN, why, _UNKNOWN)


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
    """Judge an address by the meaning of its server's answer.

    `catch_all` says whether the server accepts any address (None: unknown), `later_bounces` whether it is known to
    refuse later what it accepts. `role`: the address belongs to a function. `disposable`: its domain offers addresses
    for a few minutes. `misspelled`: its domain is probably a typo.
    """
    if meaning is Meaning.MAILBOX_DISABLED:
        return Verdict(OutcomeStatus.INVALID, Reason.MAILBOX_DISABLED, 3)
    if meaning is Meaning.NO_SUCH_MAILBOX:
        return Verdict(OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX, 2)
    if meaning not in EXISTS:
        return verdict_unknown(REASONS[meaning])
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
