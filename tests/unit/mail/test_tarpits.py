"""A tarpit delays its own addresses only, by one time limit."""

import asyncio

from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from tests.unit.mail.servers.idle_clock import run_on_idle_clock
from tests.unit.mail.servers.scripted_servers import Reply, Talk, mail_host, world
from tests.unit.mail.verifying import addresses, outcomes_of

CONTACT_TIMEOUT = 60.0
TARPITS, ORDINARY, EACH = 20, 180, 10


async def drips_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a byte now and then, and never a whole line."""
    while not reader.at_eof():
        writer.write(b"2")
        await writer.drain()
        await asyncio.sleep(5)


def greets_after(seconds: float) -> Talk:
    """Keep a caller waiting before the banner, as some do to be rid of spammers, and then be an ordinary host."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, command = mail_host("grace"), ""
        await asyncio.sleep(seconds)
        while command != "QUIT":
            writer.write((host(command) or b"") + b"\r\n")
            command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")

    return converse


def verify(servers: dict[str, Reply | Talk], emails: list[str], **config: float) -> tuple[float, dict[str, Outcome]]:
    """How many seconds it lasts, and the verdict on each address."""

    async def scenario() -> tuple[float, dict[str, Outcome]]:
        async with world(servers, **config) as scripted:
            loop = asyncio.get_running_loop()
            started = loop.time()
            outcomes = await outcomes_of(addresses(*emails), scripted.network)
            return loop.time() - started, dict(zip(emails, outcomes, strict=True))

    return run_on_idle_clock(scenario())


def test_twenty_tarpits_among_two_thousand_addresses_are_waited_for_at_the_same_time() -> None:
    people = [f"p{number}" for number in range(EACH)]
    servers: dict[str, Reply | Talk] = {f"tarpit{number}.test": drips_slowly for number in range(TARPITS)}
    servers |= {f"ordinary{number}.test": mail_host(*people) for number in range(ORDINARY)}
    emails = [f"{person}@{domain}" for domain in servers for person in people]

    seconds, outcomes = verify(servers, emails, contact_timeout=CONTACT_TIMEOUT, command_timeout=CONTACT_TIMEOUT)

    held = {email for email, outcome in outcomes.items() if outcome.reason is Reason.TIME_LIMIT}
    assert held == {email for email in emails if "tarpit" in email}
    assert {outcomes[email].status for email in outcomes.keys() - held} == {OutcomeStatus.VALID}
    assert seconds < 1.1 * CONTACT_TIMEOUT


def test_a_banner_that_comes_late_but_in_time_is_waited_for() -> None:
    seconds, outcomes = verify(
        {"late.test": greets_after(19)}, ["grace@late.test", "bob@late.test"], command_timeout=20
    )

    assert [each.status for each in outcomes.values()] == [OutcomeStatus.VALID, OutcomeStatus.INVALID]
    assert 19 <= seconds < 20


def test_a_banner_that_does_not_come_in_time_is_no_banner() -> None:
    seconds, outcomes = verify({"late.test": greets_after(21)}, ["grace@late.test"], command_timeout=20)

    assert outcomes["grace@late.test"].reason is Reason.SERVER_UNREACHABLE
    assert 20 <= seconds < 21
