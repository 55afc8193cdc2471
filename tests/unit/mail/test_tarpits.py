"""Servers that hold us delay their own addresses, by one time limit, and nobody else's."""

import asyncio
import time

from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from pipeline.records import Batch, Record
from pipeline.stages import stage_named
from tests.unit.mail.scripted_servers import Reply, Talk, drips, mail_host, world

RECORD_TIMEOUT = 1.0
TARPITS, ORDINARY, EACH = 20, 180, 10


def test_twenty_tarpits_among_two_thousand_addresses_are_waited_for_at_the_same_time() -> None:
    people = [f"p{number}" for number in range(EACH)]
    servers: dict[str, Reply | Talk] = {f"tarpit{number}.test": drips for number in range(TARPITS)}
    servers |= {f"ordinary{number}.test": mail_host(*people) for number in range(ORDINARY)}
    emails = [f"{person}@{domain}" for domain in servers for person in people]

    async def scenario() -> tuple[float, dict[str, Outcome]]:
        async with world(servers, record_timeout=RECORD_TIMEOUT) as scripted:
            started = time.monotonic()
            records = [Record(position, email=email) for position, email in enumerate(emails)]
            said = [each async for each in stage_named("email_verify").stage.work(Batch(records), scripted.network)]
            return time.monotonic() - started, {emails[each.position]: each for each in said}  # type: ignore[misc]

    seconds, outcomes = asyncio.run(scenario())

    held = {email for email, outcome in outcomes.items() if outcome.reason is Reason.TIME_LIMIT}
    assert held == {email for email in emails if "tarpit" in email}
    assert {outcomes[email].status for email in outcomes.keys() - held} == {OutcomeStatus.VALID}
    assert seconds < TARPITS * RECORD_TIMEOUT / 2, "one after the other they would take twice as long at least"
