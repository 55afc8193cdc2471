"""The verdict table."""

from itertools import pairwise

import pytest

from pipeline.mail.meanings import REASONS, Meaning
from pipeline.mail.roles import is_role
from pipeline.mail.verdict import INVALID_SYNTAX, verdict_on_mailbox, verdict_on_route
from pipeline.outcomes import OutcomeStatus, Reason

NOBODY_COULD_TELL = [
    Meaning.GREYLISTED,
    Meaning.RATE_LIMITED,
    Meaning.BLOCKED,
    Meaning.POLICY,
    Meaning.UNCLEAR,
    Meaning.UNREACHABLE,
    Meaning.TIME_LIMIT,
]


@pytest.mark.parametrize(
    ("meaning", "catch_all", "role", "status", "reason"),
    [
        (Meaning.ACCEPTED, False, False, OutcomeStatus.VALID, Reason.MAILBOX_EXISTS),
        (Meaning.ACCEPTED, False, True, OutcomeStatus.RISKY, Reason.ROLE_ACCOUNT),
        (Meaning.ACCEPTED, None, False, OutcomeStatus.RISKY, Reason.SERVER_UNCLEAR),
        (Meaning.ACCEPTED, True, False, OutcomeStatus.RISKY, Reason.CATCH_ALL),
        (Meaning.ACCEPTED, True, True, OutcomeStatus.RISKY, Reason.CATCH_ALL),
        (Meaning.MAILBOX_FULL, None, False, OutcomeStatus.RISKY, Reason.MAILBOX_FULL),
        (Meaning.MAILBOX_BUSY, None, False, OutcomeStatus.RISKY, Reason.MAILBOX_BUSY),
        (Meaning.MAILBOX_DISABLED, None, False, OutcomeStatus.INVALID, Reason.MAILBOX_DISABLED),
        (Meaning.NO_SUCH_MAILBOX, None, False, OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX),
    ],
)
def test_an_answer_gives_a_verdict(
    meaning: Meaning,
    catch_all: bool | None,
    role: bool,
    status: OutcomeStatus,
    reason: Reason,
) -> None:
    verdict = verdict_on_mailbox(meaning, catch_all=catch_all, role=role)

    assert (verdict.status, verdict.reason) == (status, reason)


@pytest.mark.parametrize("meaning", NOBODY_COULD_TELL)
@pytest.mark.parametrize("catch_all", [True, False, None])
def test_where_nobody_could_tell_the_verdict_is_unknown_for_that_reason(
    meaning: Meaning,
    catch_all: bool | None,
) -> None:
    verdict = verdict_on_mailbox(meaning, catch_all=catch_all, role=False)

    assert (verdict.status, verdict.reason) == (OutcomeStatus.UNKNOWN, REASONS[meaning])


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (Reason.NO_SUCH_DOMAIN, OutcomeStatus.INVALID),
        (Reason.NO_MAIL_SERVER, OutcomeStatus.INVALID),
        (Reason.NULL_MX, OutcomeStatus.INVALID),
        (Reason.DNS_FAILURE, OutcomeStatus.UNKNOWN),
        (Reason.UNUSABLE_MAIL_HOST, OutcomeStatus.UNKNOWN),
    ],
)
def test_a_domain_without_mail_host_is_invalid_unless_that_may_be_our_view_of_it(
    problem: Reason, status: OutcomeStatus
) -> None:
    verdict = verdict_on_route(problem)

    assert (verdict.status, verdict.reason) == (status, problem)


def test_scores_fall_from_the_surest_arrival_to_the_surest_bounce() -> None:
    verdicts = [
        verdict_on_mailbox(Meaning.ACCEPTED, catch_all=False, role=False),
        verdict_on_mailbox(Meaning.MAILBOX_BUSY, catch_all=None, role=False),
        verdict_on_mailbox(Meaning.ACCEPTED, catch_all=False, role=True),
        verdict_on_mailbox(Meaning.ACCEPTED, catch_all=None, role=False),
        verdict_on_mailbox(Meaning.MAILBOX_FULL, catch_all=None, role=False),
        verdict_on_mailbox(Meaning.ACCEPTED, catch_all=True, role=False),
        verdict_on_mailbox(Meaning.ACCEPTED, catch_all=True, role=True),
        verdict_on_mailbox(Meaning.GREYLISTED, catch_all=None, role=False),
        verdict_on_mailbox(Meaning.MAILBOX_DISABLED, catch_all=None, role=False),
        verdict_on_mailbox(Meaning.NO_SUCH_MAILBOX, catch_all=None, role=False),
        verdict_on_route(Reason.NULL_MX),
        INVALID_SYNTAX,
    ]

    assert all(better.score > worse.score for better, worse in pairwise(verdicts))
    assert all(0 <= verdict.score <= 100 for verdict in verdicts)


@pytest.mark.parametrize("local_part", ["info", "Sales", "support+uk", "office2", "no-reply", "postmaster"])
def test_functions_are_roles(local_part: str) -> None:
    assert is_role(local_part)


@pytest.mark.parametrize("local_part", ["grace.hopper", "infold", "salesman", "1", "ghopper7"])
def test_people_are_no_roles(local_part: str) -> None:
    assert not is_role(local_part)
