"""A hostile domain delays its own contacts only, and each by no more than the time limit for a contact."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import dns.rrset
import pytest

from pipeline.contacts import Batch, Contact
from pipeline.mail.dns.exchange import LARGEST_ODD
from pipeline.mail.dns.resolver import AT_ONCE, AT_ONCE_FOR, PATIENCE
from pipeline.mail.dns.routes import ADDRESSES_PER_HOST, MAX_HOSTS, MailRoute, Resolver
from pipeline.mail.host_state import FAILURES_UNTIL_DOWN
from pipeline.mail.stopwatch import Stopwatch
from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from pipeline.stages import stage_named
from tests.unit.mail import verifying
from tests.unit.mail.servers.idle_clock import run_on_idle_clock
from tests.unit.mail.servers.odd_name_servers import Asked, Zone, odd_name_servers, silent, truncated
from tests.unit.mail.servers.scripted_servers import Reply, Talk, World, mail_host, world
from tests.unit.mail.verifying import outcome_of, outcomes_of

LIMIT = 60.0
ROUNDING = 0.5
"""Seconds that the idle clock may be off by."""
VERIFY, LOOKUP = "email_verify", "email_lookup"
THOUSAND = [f"{number} mx{number}.hostile.test." for number in range(1000)]
SILENT_HOSTS: Zone = {
    **{(f"mx{number}.hostile.test", kind): silent for number in range(1000) for kind in ("A", "AAAA")},
    ("hostile.test", "MX"): truncated(*THOUSAND),
}


def routes_of(*zones: Zone, domains: Sequence[str] = ("hostile.test",), **config: Any) -> list[tuple[MailRoute, float]]:
    """Routes that are looked for at the same time, and after how many seconds each was there."""

    async def scenario() -> list[tuple[MailRoute, float]]:
        async with odd_name_servers(*zones, chases=False) as (addresses, _):
            resolver = Resolver(addresses, allow_private=True, **config)
            started = asyncio.get_running_loop().time()

            async def route(domain: str) -> tuple[MailRoute, float]:
                found = await resolver.route(domain)
                return found, asyncio.get_running_loop().time() - started

            found = await asyncio.gather(*map(route, domains))
            await resolver.close()
            return found

    return run_on_idle_clock(scenario())


def test_of_a_thousand_hosts_that_never_resolve_a_few_are_looked_for() -> None:
    async def scenario() -> list[Asked]:
        async with odd_name_servers(SILENT_HOSTS) as (addresses, asked):
            resolver = Resolver(addresses, allow_private=True)
            assert (await resolver.route("hostile.test")).problem is Reason.DNS_FAILURE
            await resolver.close()
            return asked

    (asked,) = run_on_idle_clock(scenario())
    assert len({name for name in asked.names if name.startswith("mx")}) == MAX_HOSTS


def test_a_route_takes_no_longer_than_one_contact_may() -> None:
    ((route, seconds),) = routes_of(SILENT_HOSTS, time_limit=12.0)

    assert route.problem is Reason.TIME_LIMIT
    assert seconds <= 12.0 + ROUNDING


def test_aliases_of_aliases_share_the_time_of_one_question() -> None:
    """Each server keeps quiet about every other alias."""
    even, odd = dict[tuple[str, str], Any](), dict[tuple[str, str], Any]()
    for number in range(8):
        name = "hostile.test" if number == 0 else f"a{number}.test"
        asked, quiet = (even, odd) if number % 2 == 0 else (odd, even)
        asked[name, "CNAME"], quiet[name, "MX"] = [f"a{number + 1}.test."], silent

    ((route, seconds),) = routes_of(odd, even, timeout=5.0)

    assert route.problem is Reason.DNS_FAILURE
    assert seconds <= 5.0 + PATIENCE + ROUNDING


def test_of_a_thousand_addresses_of_a_host_a_few_are_kept() -> None:
    addresses = truncated(*(f"127.9.{number // 250}.{number % 250 + 1}" for number in range(1000)))
    zone: Zone = {("hostile.test", "MX"): ["10 mx.hostile.test."], ("mx.hostile.test", "A"): addresses}

    ((route, _),) = routes_of(zone)

    assert len(route.hosts[0].addresses) == ADDRESSES_PER_HOST


def test_a_large_answer_that_would_take_long_to_read_is_a_failure() -> None:
    records = [f'"{number:0100}"' for number in range(LARGEST_ODD // 100)]

    def large(query: Any, over_tcp: bool) -> Any:
        response = truncated(*THOUSAND)(query, over_tcp)
        if over_tcp:
            response.answer.append(dns.rrset.from_text(query.question[0].name, 300, "IN", "TXT", *records))
        return response

    ((route, _),) = routes_of({("hostile.test", "MX"): large})

    assert (route.problem, route.detail) == (Reason.DNS_FAILURE, "The DNS message is too big.")


def test_unanswered_questions_do_not_hold_up_others() -> None:
    hostile = [f"d{number}.hostile.test" for number in range(AT_ONCE)]
    zone: Zone = {
        ("*.hostile.test", "MX"): silent,
        ("acme.test", "MX"): ["10 mx.acme.test."],
        ("mx.acme.test", "A"): ["127.0.0.2"],
    }

    *_, (route, seconds) = routes_of(zone, domains=[*hostile, "acme.test"])

    assert route.hosts
    assert seconds <= AT_ONCE_FOR + ROUNDING


def work(
    stage: str, contacts: Sequence[Contact], servers: Mapping[str, Reply | Talk], **config: Any
) -> tuple[dict[int, Outcome], dict[int, float], World]:
    """Outcomes, and after how many seconds each was there."""

    async def scenario() -> tuple[dict[int, Outcome], dict[int, float], World]:
        async with world(servers, **{"contact_timeout": LIMIT, "command_timeout": 20.0, **config}) as scripted:
            started = asyncio.get_running_loop().time()
            outcomes, seconds = dict[int, Outcome](), dict[int, float]()
            async for each in stage_named(stage).stage.work(Batch(contacts), scripted.network):
                assert isinstance(each, Outcome)
                outcomes[each.position] = each
                seconds[each.position] = asyncio.get_running_loop().time() - started
            return outcomes, seconds, scripted

    return run_on_idle_clock(scenario())


def answers_after(seconds: float, *mailboxes: str) -> Talk:
    """A server that thinks about each recipient, and offers no pipelining."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, command = mail_host(*mailboxes, pipelining=False), ""
        while command != "QUIT":
            if command.startswith("RCPT"):
                await asyncio.sleep(seconds)
            writer.write((host(command) or b"") + b"\r\n")
            command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")

    return converse


def addresses(count: int, domain: str) -> list[str]:
    return [f"p{number}@{domain}" for number in range(count)]


def test_route_and_conversation_share_the_time_of_one_contact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name server takes a part of it, the mail server would take all."""

    async def scenario() -> tuple[float, Reason]:
        async with world({"hostile.test": answers_after(600)}, contact_timeout=LIMIT, command_timeout=600) as scripted:
            network, loop = scripted.network, asyncio.get_running_loop()
            route = network.route

            async def late(domain: str) -> MailRoute:
                await asyncio.sleep(LIMIT / 2)
                return await route(domain)

            monkeypatch.setattr(network, "route", late)
            started = loop.time()
            outcome = await outcome_of("p@hostile.test", network)
            return loop.time() - started, outcome.reason

    seconds, reason = run_on_idle_clock(scenario())
    assert reason is Reason.TIME_LIMIT
    assert seconds <= LIMIT + ROUNDING


@pytest.mark.parametrize("stage", [VERIFY, LOOKUP])
def test_a_server_that_is_slow_with_every_address_is_not_probed_for_all(stage: str) -> None:
    """Each reply is within its time, and the two hundred together would take an hour."""
    people = [
        Contact(
            number,
            email=email if stage == VERIFY else "",
            full_name=f"Ada Alder{chr(97 + number // 26)}{chr(97 + number % 26)}",
            domain="hostile.test",
        )
        for number, email in enumerate(addresses(200, "hostile.test"))
    ]

    outcomes, seconds, _ = work(stage, people, {"hostile.test": answers_after(19)}, defer_seconds=())

    assert len(outcomes) == 200
    assert max(seconds.values()) <= 4 * LIMIT
    assert [outcome.reason for outcome in outcomes.values()].count(Reason.TIME_LIMIT) > 190


def test_outcomes_of_a_slow_server_come_before_the_next_group_is_probed() -> None:
    """The time of a chunk task may end then: outcomes that it still held back would be probed for again and again."""
    names = [f"Ada Alder{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(60)]
    people = [Contact(number, full_name=name, domain="slow.test") for number, name in enumerate(names)]

    _, seconds, _ = work(LOOKUP, people, {"slow.test": answers_after(1)}, defer_seconds=())

    answered_after = sorted(seconds.values())
    waits = [after - before for before, after in pairwise([0.0, *answered_after])]
    assert max(waits) <= 1.25 * LIMIT + ROUNDING


def test_domains_of_a_host_that_answers_no_probe_do_not_wait_one_by_one() -> None:
    """All of them are at one host: it greets, and answers no question."""
    silent_host = answers_after(600)
    domains = [f"d{number}.test" for number in range(40)]

    async def scenario() -> tuple[set[Reason], float]:
        async with world({"hostile.test": silent_host}, contact_timeout=LIMIT, command_timeout=600) as scripted:
            route = await scripted.network.route("hostile.test")
            network = scripted.network

            async def at_hostile(domain: str) -> MailRoute:
                return MailRoute(domain, route.hosts)

            network.route = at_hostile  # type: ignore[method-assign]
            started = asyncio.get_running_loop().time()
            outcomes = await outcomes_of(verifying.addresses(*(f"p@{domain}" for domain in domains)), network)
            return {outcome.reason for outcome in outcomes}, asyncio.get_running_loop().time() - started

    reasons, seconds = run_on_idle_clock(scenario())
    assert reasons == {Reason.TIME_LIMIT, Reason.SERVER_UNREACHABLE}
    assert seconds <= FAILURES_UNTIL_DOWN * LIMIT + ROUNDING


def test_a_host_is_not_marked_down_by_contacts_that_had_no_time_left_for_it() -> None:
    """Their own name servers took it, which says nothing about the host."""
    host = answers_after(0.2, "grace")

    async def scenario() -> Outcome:
        async with world({"acme.test": host}, contact_timeout=LIMIT) as scripted:
            network, route = scripted.network, await scripted.network.route("acme.test")
            for number in range(2 * FAILURES_UNTIL_DOWN):
                stopwatch = Stopwatch(0.1)
                async with network.conversation(MailRoute(f"d{number}.test", route.hosts), stopwatch) as conversation:
                    answers = await conversation.probe([f"p@d{number}.test"])
                assert answers[f"p@d{number}.test"].reason is Reason.TIME_LIMIT
            return await outcome_of("grace@acme.test", network)

    assert run_on_idle_clock(scenario()).status is OutcomeStatus.VALID
