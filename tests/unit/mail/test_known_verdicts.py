"""The verifying stage does not ask about what an earlier run settled."""

import asyncio
from datetime import UTC, datetime

from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from pipeline.records import Batch, KnownVerdict, Record
from pipeline.stages import stage_named
from tests.unit.mail.scripted_servers import mail_host, world

CHECKED_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
KNOWN = KnownVerdict("risky", "catch_all", 45, {"mail_host": "mx.acme.test", "catch_all": True}, CHECKED_AT, 86_400.4)


def test_a_known_address_gets_its_verdict_again_with_its_age_and_nobody_is_asked() -> None:
    async def scenario() -> tuple[Outcome, int]:
        async with world({"acme.test": mail_host("grace")}) as scripted:
            batch = Batch([Record(7, email="grace@ACME.test")], known_verdicts={"grace@acme.test": KNOWN})
            (said,) = [each async for each in stage_named("email_verify").stage.work(batch, scripted.network)]
            assert isinstance(said, Outcome)
            return said, scripted.seen["acme.test"].sessions

    said, sessions = asyncio.run(scenario())

    assert (said.position, said.email, said.score) == (7, "grace@acme.test", 45)
    assert (said.status, said.reason) == (OutcomeStatus.RISKY, Reason.CATCH_ALL)
    assert said.evidence["mail_host"] == "mx.acme.test"
    assert said.evidence["cache"] == {"checked_at": "2026-11-20T12:00:00+00:00", "age_seconds": 86_400}
    assert sessions == 0
