"""The verifying stage uses the reply that an earlier run got, and judges it anew."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.contacts import Batch, Contact, KnownAnswer
from pipeline.evidence import CacheEvidence, Evidence
from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from tests.unit.mail.servers.scripted_servers import mail_host, world
from tests.unit.mail.verifying import outcomes_of

CHECKED_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
REPLY = {"meaning": "accepted", "mail_host": "mx.acme.test", "reply_code": 250, "catch_all": False}


def verify(email: str, reply: dict[str, Any]) -> tuple[Outcome, int]:
    """The outcome of a contact whose address is known, and how many sessions its mail server saw."""

    async def scenario() -> tuple[Outcome, int]:
        async with world({"acme.test": mail_host("grace")}) as scripted:
            known = {email.lower(): KnownAnswer(Evidence.from_json(reply), CHECKED_AT, 86_400.4)}
            batch = Batch([Contact(7, email=email)], known_answers=known)
            (outcome,) = await outcomes_of(batch, scripted.network)
            return outcome, scripted.seen["acme.test"].sessions

    return asyncio.run(scenario())


def test_no_probe_is_sent_and_the_evidence_states_the_answers_age() -> None:
    outcome, sessions = verify("grace@ACME.test", REPLY)

    assert (outcome.position, outcome.email, sessions) == (7, "grace@acme.test", 0)
    assert (outcome.status, outcome.reason) == (OutcomeStatus.VALID, Reason.MAILBOX_EXISTS)
    assert outcome.evidence.reply.mail_host == "mx.acme.test"
    assert outcome.evidence.cache == CacheEvidence(CHECKED_AT, 86_400)


@pytest.mark.parametrize(
    ("email", "changes", "expected"),
    [
        ("grace@acme.test", {"catch_all": True}, (OutcomeStatus.RISKY, Reason.CATCH_ALL)),
        ("info@acme.test", {}, (OutcomeStatus.RISKY, Reason.ROLE_ACCOUNT)),
        (
            "grace@acme.test",
            {"meaning": "no_such_mailbox", "catch_all": None},
            (OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX),
        ),
    ],
)
def test_a_known_answer_is_judged_like_one_of_today(
    email: str, changes: dict[str, Any], expected: tuple[OutcomeStatus, Reason]
) -> None:
    outcome, _ = verify(email, REPLY | changes)

    assert (outcome.status, outcome.reason) == expected
