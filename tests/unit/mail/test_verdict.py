"""The verdict table."""

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.mail.address.providers import refuses_later
from pipeline.mail.replies.meaning import EXISTS, REASONS, Meaning
from pipeline.mail.verdict import INVALID_SYNTAX, RISKS, Verdict, verdict_on_mailbox, verdict_on_route
from pipeline.outcomes import OutcomeStatus, Reason

INCONCLUSIVE = [
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


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"disposable": True}, Reason.DISPOSABLE),
        ({"misspelled": True}, Reason.POSSIBLE_TYPO),
        ({"disposable": True, "role": True}, Reason.DISPOSABLE),
        ({"role": True, "catch_all": True}, Reason.CATCH_ALL),
        ({"later_bounces": True, "catch_all": True}, Reason.ACCEPTS_ALL_LATER_BOUNCES),
        ({"later_bounces": True, "catch_all": None}, Reason.ACCEPTS_ALL_LATER_BOUNCES),
    ],
)
def test_of_several_risks_the_worst_is_the_reason(known: dict[str, bool], reason: Reason) -> None:
    verdict = verdict_on_mailbox(Meaning.ACCEPTED, **({"catch_all": False, "role": False} | known))

    assert (verdict.status, verdict.reason) == (OutcomeStatus.RISKY, reason)


def test_a_host_known_to_bounce_later_is_believed_when_it_refuses_a_random_address() -> None:
    verdict = verdict_on_mailbox(Meaning.ACCEPTED, catch_all=False, role=False, later_bounces=True)

    assert verdict.status is OutcomeStatus.VALID


@pytest.mark.parametrize("meaning", INCONCLUSIVE)
@pytest.mark.parametrize("catch_all", [True, False, None])
def test_an_inconclusive_answer_gives_an_unknown_verdict_for_that_reason(
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
        (Reason.TIME_LIMIT, OutcomeStatus.UNKNOWN),
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


WORSE_AND_WORSE = [
    Meaning.ACCEPTED,
    Meaning.MAILBOX_BUSY,
    Meaning.MAILBOX_FULL,
    Meaning.BLOCKED,
    Meaning.MAILBOX_DISABLED,
]
FACTS = st.fixed_dictionaries(
    dict.fromkeys(("role", "disposable", "misspelled", "later_bounces"), st.booleans()),
)


@given(st.sampled_from(Meaning), FACTS, st.sampled_from(["role", "disposable", "misspelled", "later_bounces"]))
def test_no_further_risk_raises_a_score(meaning: Meaning, facts: dict[str, bool], risk: str) -> None:
    for catch_all in (True, None, False):
        without = verdict_on_mailbox(meaning, catch_all=catch_all, **facts | {risk: False})
        with_it = verdict_on_mailbox(meaning, catch_all=catch_all, **facts | {risk: True})

        assert with_it.score <= without.score


@given(st.sampled_from(Meaning), FACTS)
def test_the_less_an_acceptance_proves_the_lower_the_score(meaning: Meaning, facts: dict[str, bool]) -> None:
    scores = [verdict_on_mailbox(meaning, catch_all=worth, **facts).score for worth in (False, None, True)]

    assert scores == sorted(scores, reverse=True)


@given(FACTS)
def test_no_worse_answer_raises_a_score(facts: dict[str, bool]) -> None:
    scores = [verdict_on_mailbox(meaning, catch_all=False, **facts).score for meaning in WORSE_AND_WORSE]

    assert scores == sorted(scores, reverse=True)


def every_verdict_on_a_mailbox() -> list[Verdict]:
    yes_or_no = (True, False)
    return [
        verdict_on_mailbox(
            meaning, catch_all=catch_all, role=role, disposable=disposable, misspelled=misspelled, later_bounces=later
        )
        for meaning, catch_all, role, disposable, misspelled, later in product(
            Meaning, (True, False, None), yes_or_no, yes_or_no, yes_or_no, yes_or_no
        )
    ]


def test_each_status_has_a_band_of_scores_of_its_own() -> None:
    bands = {
        OutcomeStatus.VALID: range(90, 101),
        OutcomeStatus.RISKY: range(31, 90),
        OutcomeStatus.UNKNOWN: range(30, 31),
        OutcomeStatus.INVALID: range(30),
    }

    assert all(verdict.score in bands[verdict.status] for verdict in every_verdict_on_a_mailbox())


def test_valid_is_only_what_was_accepted_by_a_server_that_refuses_others() -> None:
    valid = [
        (meaning, catch_all)
        for meaning, catch_all in product(Meaning, (True, False, None))
        if verdict_on_mailbox(meaning, catch_all=catch_all, role=False).status is OutcomeStatus.VALID
    ]

    assert valid == [(Meaning.ACCEPTED, False)]


def test_each_answer_of_an_existing_mailbox_but_an_acceptance_is_a_risk() -> None:
    assert {REASONS[meaning] for meaning in EXISTS - {Meaning.ACCEPTED}} <= set(RISKS)


@pytest.mark.parametrize(
    "host", ["mta5.am0.yahoodns.net", "MX-AOL.mail.gm0.yahoodns.net.", "mxs.mail.ru", "mx.yandex.net"]
)
def test_hosts_that_refuse_later_are_known_by_name(host: str) -> None:
    assert refuses_later(host)


@pytest.mark.parametrize("host", ["mx.acme.test", "notmail.ru", "yahoodns.net.evil.test", ""])
def test_other_hosts_do_not_refuse_later(host: str) -> None:
    assert not refuses_later(host)
