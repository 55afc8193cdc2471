"""A session is reused for the next domain that waits for the same mail host, unless something went wrong in it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cli.verify.domain_check import check_domain
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.mail.smtp.egress import EgressPool
from pipeline.outcomes import OutcomeStatus
from tests.unit.mail.servers.scripted_servers import Reply, Seen, Talk, mail_host, mail_server, name_server
from tests.unit.mail.servers.tls_servers import TlsHost
from tests.unit.mail.verifying import addresses, outcomes_of

HOST = "127.8.0.1"
FIRST, SECOND, THIRD = "first.test", "second.test", "third.test"


@asynccontextmanager
async def shared_host(
    behaviour: Reply | Talk, domains: Sequence[str], **config: Any
) -> AsyncIterator[tuple[MailNetwork, Seen]]:
    """One mail host for all the domains, with room for one connection."""
    zone = {(domain, "MX"): ["10 mx.hosting.test."] for domain in domains} | {("mx.hosting.test", "A"): [HOST]}
    async with mail_server(behaviour, HOST) as (port, seen), name_server(zone) as (_, address):
        settings = {"connections_per_host": 1, "command_timeout": 2.0, "defer_seconds": (), **config}
        network = MailNetwork(MailNetworkConfig((address,), port, allow_private=True, **settings))
        try:
            yield network, seen
        finally:
            await network.close()


def verify(behaviour: Reply | Talk, emails: Sequence[str], **config: Any) -> tuple[dict[str, OutcomeStatus], Seen]:
    """The verdict on each address, and what the host saw."""

    async def scenario() -> tuple[dict[str, OutcomeStatus], Seen]:
        domains = list(dict.fromkeys(email.partition("@")[2] for email in emails))
        async with shared_host(behaviour, domains, **config) as (network, seen):
            outcomes = await outcomes_of(addresses(*emails), network)
            await network.close()
            return {emails[outcome.position]: outcome.status for outcome in outcomes}, seen

    return asyncio.run(scenario())


def at_each(count: int, *local_parts: str) -> list[str]:
    return [f"{local_part}@d{number}.test" for number in range(count) for local_part in local_parts]


def test_domains_that_wait_for_the_same_host_share_a_session_and_each_has_a_transaction_of_its_own() -> None:
    statuses, seen = verify(mail_host("grace"), [f"grace@{FIRST}", f"grace@{SECOND}", f"grace@{THIRD}"])

    assert set(statuses.values()) == {OutcomeStatus.VALID}
    assert seen.sessions == 1
    turn = ["MAIL", "RCPT", "RCPT"]
    assert [command[:4] for command in seen.commands] == ["EHLO", *turn, "RSET", *turn, "RSET", *turn, "QUIT"]


def test_the_next_domain_costs_only_the_round_trips_of_its_recipients() -> None:
    host, flights = mail_host("grace"), list[list[str]]()

    async def reads_what_has_arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = [""]
        while commands[-1] != "QUIT":
            writer.write(b"".join((host(command) or b"") + b"\r\n" for command in commands))
            commands = (await reader.read(65536)).decode().removesuffix("\r\n").split("\r\n")
            flights.append([command[:4] for command in commands])
        writer.write(b"".join((host(command) or b"") + b"\r\n" for command in commands))

    verify(reads_what_has_arrived, [f"grace@{FIRST}", f"grace@{SECOND}"])

    assert flights == [["EHLO"], ["MAIL", "RCPT"], ["RCPT"], ["RSET", "MAIL", "RCPT"], ["RCPT", "QUIT"]]


def test_a_host_without_pipelining_gets_one_command_at_a_time_in_a_reused_session() -> None:
    statuses, seen = verify(mail_host("grace", pipelining=False), at_each(3, "grace"))

    assert set(statuses.values()) == {OutcomeStatus.VALID}
    assert (seen.sessions, len(seen.verbs("QUIT"))) == (1, 1)


def test_one_handshake_serves_all_waiting_domains() -> None:
    host = TlsHost()

    statuses, _ = verify(host.talk, at_each(4, "grace"))

    assert set(statuses.values()) == {OutcomeStatus.VALID}
    assert [command[:8] for command in host.clear] == ["EHLO loc", "STARTTLS"]
    assert [command[:4] for command in host.encrypted].count("MAIL") == 4


def test_a_session_serves_ten_domains_and_is_left_with_quit() -> None:
    _, seen = verify(mail_host("grace"), at_each(25, "grace"), refusals_per_session=20)

    assert (seen.sessions, len(seen.verbs("QUIT")), len(seen.verbs("RSET"))) == (3, 3, 22)


def test_the_limits_of_a_session_hold_for_all_its_domains_together() -> None:
    host, most, session = mail_host("grace"), {"recipients": 0, "refused": 0}, {"recipients": 0, "refused": 0}

    def counts(command: str) -> bytes | None:
        reply = host(command)
        if not command:
            session.update(recipients=0, refused=0)
        if command.startswith("RCPT"):
            session["recipients"] += 1
            session["refused"] += (reply or b"").startswith(b"5")
            most.update({name: max(most[name], number) for name, number in session.items()})
        return reply

    emails = at_each(12, "grace", "alan", "joan", "mary")
    statuses, seen = verify(counts, emails, recipients_per_session=14)

    assert {email for email, status in statuses.items() if status is OutcomeStatus.VALID} == set(at_each(12, "grace"))
    assert len(statuses) == len(emails)
    assert most["recipients"] <= 14, "the configured limit"
    assert most["refused"] <= 9, "Postfix slows a session down at its tenth error"
    assert seen.sessions == len(seen.verbs("QUIT")) < 12


@pytest.mark.parametrize(
    "trouble",
    [
        b"451 4.7.1 Greylisted, come back later",
        b"450 4.7.1 Error: rate limit exceeded",
        b"452 4.5.3 Error: too many recipients",
        b"421 4.7.0 Try again later, closing connection",
        b"554 5.7.1 Client host blocked using zen.dnsbl.example",
        b"550 something odd",
        b"what?",
        b"250 2.1.5 Ok\r\n250 2.1.5 Ok",
        None,
    ],
)
def test_after_trouble_the_next_domain_has_a_session_of_its_own(trouble: bytes | None) -> None:
    replies = {f"RCPT TO:<grace@{FIRST}": trouble}

    statuses, seen = verify(mail_host("grace", replies=replies), [f"grace@{FIRST}", f"grace@{SECOND}"])

    assert statuses == {f"grace@{FIRST}": OutcomeStatus.UNKNOWN, f"grace@{SECOND}": OutcomeStatus.VALID}
    assert not seen.verbs("RSET")


@pytest.mark.parametrize(
    ("beginning", "reply"),
    [
        ("RSET", None),
        ("RSET", b"421 4.4.2 Error: timeout exceeded"),
        ("RSET", b"502 5.5.1 Error: command not implemented"),
        ("MAIL", None),
        ("MAIL", b"554 too many messages in this connection"),
        ("RCPT", None),
        ("RCPT", b"421 4.7.0 Try again later, closing connection"),
        ("RCPT", b"452 4.5.3 Error: too many recipients"),
        ("RCPT", b"what?"),
    ],
)
def test_a_reused_session_that_breaks_does_not_affect_the_domain_that_got_it(
    beginning: str, reply: bytes | None
) -> None:
    ordinary, transactions = mail_host("grace"), 0

    def serves_one_domain(command: str) -> bytes | None:
        nonlocal transactions
        transactions = 0 if not command else transactions + command.startswith(("RSET", "MAIL"))
        return reply if command.startswith(beginning) and transactions > 1 else ordinary(command)

    statuses, _ = verify(serves_one_domain, at_each(5, "grace"))

    assert statuses == dict.fromkeys(at_each(5, "grace"), OutcomeStatus.VALID)


def test_sessions_of_a_host_that_lost_a_command_are_not_reused() -> None:
    ordinary, lost = mail_host("grace"), list[str]()

    async def loses_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = ""
        while command != "QUIT":
            if command.startswith("RCPT") and not lost:
                lost.append(command)
            else:
                writer.write((ordinary(command) or b"") + b"\r\n")
            command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")

    statuses, seen = verify(loses_one, at_each(4, "grace"), command_timeout=0.3)

    assert set(statuses.values()) == {OutcomeStatus.VALID}
    assert seen.sessions == 1 + 4


def test_after_a_complaint_the_sessions_that_are_open_serve_no_other_domain() -> None:
    ordinary, commands = mail_host("grace"), list[str]()
    both_probe, complained = asyncio.Barrier(2), asyncio.Event()

    async def complains(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command, is_to_slow_down = "", False
        while command != "QUIT":
            if command == f"RCPT TO:<grace@{FIRST}>":
                await both_probe.wait()
                is_to_slow_down = True
            elif command == f"RCPT TO:<grace@{SECOND}>":
                await both_probe.wait()
                await complained.wait()
            reply = b"450 4.7.1 Error: rate limit exceeded" if is_to_slow_down else ordinary(command) or b""
            writer.write(reply + b"\r\n")
            command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")
            commands.append(command)
        if is_to_slow_down:
            complained.set()

    statuses, seen = verify(complains, [f"grace@{FIRST}", f"grace@{SECOND}", f"grace@{THIRD}"], connections_per_host=2)

    assert list(statuses.values()).count(OutcomeStatus.VALID) == 2
    assert (seen.sessions, "RSET" in commands) == (3, False)


def test_the_time_lost_in_a_reused_session_does_not_count_for_the_domain() -> None:
    host = mail_host("grace", pipelining=False)

    async def serves_one_domain_and_is_slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = ""
        while command != "QUIT":
            if command.startswith("RCPT"):
                await asyncio.sleep(0.8)
            if command == "RSET":
                await reader.read()
                return
            writer.write((host(command) or b"") + b"\r\n")
            command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")

    statuses, _ = verify(serves_one_domain_and_is_slow, at_each(2, "grace"), command_timeout=2.0, contact_timeout=3.0)

    assert set(statuses.values()) == {OutcomeStatus.VALID}


def test_a_domain_with_another_egress_never_gets_the_session() -> None:
    sources, clients = ("127.9.0.1", "127.9.0.2"), dict[str, set[str]]()
    host = mail_host("grace")

    async def notes_clients(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = ""
        while command != "QUIT":
            writer.write((host(command) or b"") + b"\r\n")
            command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")
            if command.startswith("RCPT"):
                domain = command.partition("@")[2].rstrip(">")
                clients.setdefault(domain, set()).add(writer.get_extra_info("peername")[0])

    _, seen = verify(notes_clients, at_each(12, "grace"), source_ips=sources)

    pool = EgressPool(sources)
    assert clients == {f"d{n}.test": {str(pool.own(f"d{n}.test", HOST))} for n in range(12)}
    assert len({ip for each in clients.values() for ip in each}) == 2
    assert seen.sessions < 12


def test_when_a_domain_is_cancelled_as_it_gets_the_session_the_next_one_gets_it() -> None:
    async def scenario() -> Seen:
        async with shared_host(mail_host("grace"), (FIRST, SECOND, THIRD)) as (network, seen):
            for domain in (SECOND, THIRD):
                await network.route(domain)

            async def probe(domain: str) -> None:
                async with network.conversation(await network.route(domain)) as conversation:
                    await conversation.probe([f"grace@{domain}"])

            async with network.conversation(await network.route(FIRST)) as first:
                await first.probe([f"grace@{FIRST}"])
                second, third = (asyncio.create_task(probe(domain)) for domain in (SECOND, THIRD))
                await asyncio.sleep(0)
            second.cancel()
            await third
            await asyncio.gather(second, return_exceptions=True)
            assert second.cancelled()
            await network.close()
            return seen

    seen = asyncio.run(scenario())

    assert [command[9:-1] for command in seen.verbs("RCPT")] == [f"grace@{FIRST}", f"grace@{THIRD}"]
    assert (seen.sessions, len(seen.verbs("QUIT"))) == (1, 1)


def test_a_conversation_with_a_transcript_does_not_share_its_session() -> None:
    async def scenario() -> list[list[str]]:
        async with shared_host(mail_host("grace"), (FIRST, SECOND)) as (network, _):
            checks = [check_domain(domain, [f"grace@{domain}"], network) for domain in (FIRST, SECOND)]
            done = await asyncio.gather(*map(asyncio.create_task, checks))
            await network.close()
            return [
                [each.command[:4] for each in session.exchanges] for one in done for session in one.transcript.sessions
            ]

    assert asyncio.run(scenario()) == [["", "EHLO", "MAIL", "RCPT", "RCPT", "QUIT"]] * 2
