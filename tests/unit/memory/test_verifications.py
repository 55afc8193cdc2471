"""Verdicts that are kept for an account and used again while they are fresh."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text

from models.database import Database
from models.wire import ContactIn
from pipeline.contacts import KnownAnswer
from pipeline.credits import RateCard
from pipeline.evidence import Evidence
from pipeline.mail.replies.meaning import Meaning
from pipeline.memory.verifications import HOLDS_FOR_DAYS, Freshness
from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from pipeline.privacy import retention
from pipeline.runs import chunks, lifecycle
from pipeline.runs.create import create_run
from pipeline.runs.lifecycle import cancel
from pipeline.runs.retry import retry_run
from tests.factories import (
    LEASE_S,
    LOOKUP,
    VERIFY,
    WORKER,
    account,
    count,
    finish_chunk,
    found,
    leased_chunk,
    order_of,
)
from tests.old_runs import all_rows

GRACE = "grace@alpha.test"
SEEN = {
    "meaning": "accepted", "mail_host": "mx.alpha.test", "reply_code": 250, "reply_text": "2.1.5 Ok",
    "catch_all": False, "same_mailbox": GRACE, "did_you_mean": GRACE, "pattern": "first",
}  # fmt: skip


def seen(**changes: object) -> Evidence:
    return Evidence.from_json({**SEEN, **changes})


VALID = Outcome(0, OutcomeStatus.VALID, Reason.MAILBOX_EXISTS, email=GRACE, score=97, evidence=seen())
DAYS = Freshness(valid=30, risky=7, invalid=20)


def verifying(database: Database, owner: UUID, emails: Sequence[str] = (GRACE,), **output: object) -> UUID:
    """A run that verifies these addresses, its stage begun."""
    people = [ContactIn(email=email) for email in emails]
    with database.transaction() as session:
        run_id = create_run(
            session, owner, order_of(people, "verify_existing_emails", **output), rate_card=RateCard()
        ).run_id
        lifecycle.begin_stage(session, run_id, VERIFY, WORKER, len(people))
    return run_id


def verify(database: Database, owner: UUID, *outcomes: Outcome, days_ago: float = 0, **output: object) -> None:
    """A run of the account's gets these outcomes, some days ago."""
    run_id = verifying(database, owner, [each.email or "" for each in outcomes], **output)
    finish_chunk(database, leased_chunk(database, run_id, VERIFY), outcomes)
    with database.transaction() as session:
        past = "UPDATE verifications SET checked_at = checked_at - make_interval(secs => 86400 * :days)"
        session.execute(text(past), {"days": days_ago})


def known_to(
    database: Database, owner: UUID, *emails: str, freshness: Freshness = DAYS, **output: object
) -> dict[str, KnownAnswer]:
    """What the next run's chunk is loaded with."""
    lease = leased_chunk(database, verifying(database, owner, emails or [GRACE], **output), VERIFY)
    with database.transaction() as session:
        return dict(chunks.load(session, lease, freshness).known_answers)


def test_a_conclusive_verdict_is_known_to_the_accounts_next_run(database: Database, owner: UUID) -> None:
    verify(database, owner, VALID)

    known = known_to(database, owner)[GRACE]

    assert known.evidence.reply.meaning == "accepted"
    assert (known.evidence.reply.mail_host, known.evidence.catch_all) == ("mx.alpha.test", False)
    assert 0 <= known.age_seconds < 60


def test_another_account_knows_nothing_of_it(database: Database, owner: UUID) -> None:
    verify(database, owner, VALID)

    assert known_to(database, account(database).account_id) == {}


def test_an_address_is_the_same_however_its_domain_is_written(database: Database, owner: UUID) -> None:
    verify(database, owner, VALID)

    assert list(known_to(database, owner, " grace@ALPHA.test", "Grace@alpha.test")) == [GRACE]


@pytest.mark.parametrize(
    ("status", "reason", "days"),
    [
        (OutcomeStatus.VALID, Reason.MAILBOX_EXISTS, DAYS.valid),
        (OutcomeStatus.RISKY, Reason.CATCH_ALL, DAYS.risky),
        (OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX, DAYS.invalid),
    ],
)
def test_each_status_is_fresh_for_its_own_time(
    database: Database, owner: UUID, status: OutcomeStatus, reason: Reason, days: float
) -> None:
    verify(database, owner, VALID._replace(status=status, reason=reason), days_ago=days - 0.01)
    assert list(known_to(database, owner)) == [GRACE]

    verify(database, owner, VALID._replace(email="ada@alpha.test"), days_ago=0.02)
    assert list(known_to(database, owner)) == []


def test_no_time_at_all_means_never(database: Database, owner: UUID) -> None:
    verify(database, owner, VALID)

    assert known_to(database, owner, freshness=Freshness(0, 0, 0)) == {}


def test_a_run_may_ask_for_fresh_verdicts_only_and_others_profit_from_them(database: Database, owner: UUID) -> None:
    verify(database, owner, VALID)

    assert known_to(database, owner, fresh=True) == {}
    verify(database, owner, VALID._replace(evidence=seen(mail_host="mx2.alpha.test")), fresh=True)
    assert known_to(database, owner)[GRACE].evidence.reply.mail_host == "mx2.alpha.test"


def test_a_retry_of_a_run_with_fresh_verdicts_wants_fresh_ones_too(database: Database, owner: UUID) -> None:
    run_id = verifying(database, owner, fresh=True)
    with database.transaction() as session:
        cancel(session, owner, run_id)
        retry_id = retry_run(session, owner, run_id).run_id

    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM runs WHERE fresh AND id = :id", id=retry_id) == 1


@pytest.mark.parametrize(
    "changes",
    [
        *({"meaning": meaning} for meaning in sorted(set(Meaning) - HOLDS_FOR_DAYS)),
        {"catch_all": None},
        {"mail_host": None},
        {"meaning": None},
    ],
)
def test_a_verdict_that_does_not_hold_for_days_is_not_kept(
    database: Database, owner: UUID, changes: dict[str, object]
) -> None:
    verify(database, owner, VALID._replace(status=OutcomeStatus.RISKY, evidence=seen(**changes)))

    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM verifications") == 0


def test_a_denial_is_kept_whether_or_not_the_domain_is_a_catch_all(database: Database, owner: UUID) -> None:
    no = seen(meaning="no_such_mailbox", reply_code=550, catch_all=None)

    verify(database, owner, VALID._replace(status=OutcomeStatus.INVALID, reason=Reason.NO_SUCH_MAILBOX, evidence=no))

    assert known_to(database, owner)[GRACE].evidence.catch_all is None


def test_a_verdict_does_not_get_younger_by_being_used(database: Database, owner: UUID) -> None:
    verify(database, owner, VALID, days_ago=5)

    verify(database, owner, VALID._replace(evidence=seen(cache={"age_seconds": 432_000})))

    assert known_to(database, owner)[GRACE].age_seconds > 4 * 86_400


def test_a_newer_verdict_replaces_an_older_one(database: Database, owner: UUID) -> None:
    verify(database, owner, VALID, days_ago=5)

    verify(database, owner, VALID._replace(evidence=seen(meaning="no_such_mailbox")))

    known = known_to(database, owner)[GRACE]
    assert (known.evidence.reply.meaning, known.age_seconds < 60) == ("no_such_mailbox", True)


def test_an_address_that_comes_twice_in_a_checkpoint_is_kept_once(database: Database, owner: UUID) -> None:
    verify(database, owner, VALID, VALID._replace(position=1))

    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM verifications") == 1


def test_a_kept_verdict_holds_no_personal_data(database: Database, owner: UUID) -> None:
    verify(database, owner, VALID)
    with database.transaction() as session:
        session.execute(text("TRUNCATE runs CASCADE"))
        assert count(session, "SELECT count(*) FROM verifications") == 1

    assert "grace" not in all_rows(database).lower()


def test_for_an_address_that_an_earlier_stage_found_no_known_answer_is_loaded(database: Database, owner: UUID) -> None:
    verify(database, owner, VALID._replace(email="given.family0@alpha.test"))
    people = [ContactIn(first_name="Given", last_name="Family", domain="alpha.test")]
    with database.transaction() as session:
        run_id = create_run(session, owner, order_of(people), rate_card=RateCard()).run_id
        lifecycle.begin_stage(session, run_id, LOOKUP, WORKER, 1)
    finish_chunk(database, leased_chunk(database, run_id), [found(0)])
    with database.transaction() as session:
        lifecycle.begin_stage(session, run_id, VERIFY, WORKER, 1)
    lease = leased_chunk(database, run_id, VERIFY)

    with database.transaction() as session:
        batch = chunks.load(session, lease, DAYS)

    assert batch.contacts[0].email == "given.family0@alpha.test"
    assert batch.known_answers == {}


def test_nothing_is_kept_without_the_lease(database: Database, owner: UUID) -> None:
    lease = leased_chunk(database, verifying(database, owner), VERIFY)
    stolen = replace(lease, token=lease.token - 1)

    with pytest.raises(chunks.LeaseLost), database.transaction() as session:
        chunks.record(session, stolen, [VALID], LEASE_S)

    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM verifications") == 0


def test_kept_verdicts_are_deleted_when_their_days_are_over_and_not_before(database: Database, owner: UUID) -> None:
    verify(database, owner, VALID, days_ago=10)

    with database.transaction() as session:
        assert retention.delete_verifications(session, days=10.01) == 0
        assert retention.delete_verifications(session, days=9.99) == 1
        assert count(session, "SELECT count(*) FROM verifications") == 0
