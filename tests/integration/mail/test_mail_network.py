"""Many conversations at once over one mail network, on real sockets."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.mail.pacing.in_process import ProcessPacing
from pipeline.mail.pacing.slots import PacingLimits, place_of
from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.meaning import Meaning
from tests.unit.mail.servers.scripted_servers import (
    Reply,
    Seen,
    Talk,
    drips,
    mail_host,
    mail_server,
    name_server,
    says_nothing,
    world,
)


def probe_at_each(domains: Mapping[str, Reply | Talk], **config: Any) -> dict[str, tuple[Answer, Seen]]:
    """Probe grace at every domain, all at the same time."""

    async def scenario() -> dict[str, tuple[Answer, Seen]]:
        async with world(domains, **config) as scripted:

            async def answer(domain: str) -> Answer:
                route = await scripted.network.route(domain)
                async with scripted.network.conversation(route) as conversation:
                    return (await conversation.probe([f"grace@{domain}"]))[f"grace@{domain}"]

            answers = await asyncio.gather(*map(answer, domains))
            await scripted.network.close()
            return {domain: (found, scripted.seen[domain]) for domain, found in zip(domains, answers, strict=True)}

    return asyncio.run(scenario())


def test_a_host_never_sees_more_connections_at_once_than_configured() -> None:
    async def scenario() -> tuple[Seen, int]:
        async with world({"acme.test": mail_host("grace")}, connections_per_host=3) as scripted:
            route = await scripted.network.route("acme.test")

            async def one_session() -> Answer:
                async with scripted.network.conversation(route) as conversation:
                    return (await conversation.probe(["grace@acme.test"]))["grace@acme.test"]

            answers = await asyncio.gather(*(one_session() for _ in range(30)))
            await scripted.network.close()
            return scripted.seen["acme.test"], sum(found.meaning is Meaning.ACCEPTED for found in answers)

    seen, accepted = asyncio.run(scenario())

    assert (seen.most_at_once, accepted) == (3, 30)


def test_every_session_ends_with_quit_and_no_connection_is_left_open() -> None:
    found = probe_at_each({f"d{number}.test": mail_host("grace") for number in range(10)})

    assert all(len(seen.verbs("QUIT")) == seen.sessions == 1 for _, seen in found.values())
    assert all(seen.at_once == 0 for _, seen in found.values())


def test_a_session_ends_with_quit_even_if_its_task_is_cancelled() -> None:
    async def scenario() -> Seen:
        received_rcpt, received_quit = asyncio.Event(), asyncio.Event()

        async def hangs_at_rcpt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ordinary, command = mail_host("grace"), ""
            while not command.startswith("RCPT"):
                writer.write((ordinary(command) or b"") + b"\r\n")
                command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")
            received_rcpt.set()
            seen.commands.append((await reader.readuntil(b"\r\n")).decode().rstrip("\r\n"))
            received_quit.set()

        async with world({"acme.test": hangs_at_rcpt}) as scripted:
            seen = scripted.seen["acme.test"]
            route = await scripted.network.route("acme.test")

            async def one_session() -> None:
                async with scripted.network.conversation(route) as conversation:
                    await conversation.probe(["grace@acme.test"])

            task = asyncio.create_task(one_session())
            await received_rcpt.wait()
            task.cancel()
            await asyncio.wait({task})
            await asyncio.wait_for(received_quit.wait(), timeout=5)
            return seen

    assert asyncio.run(scenario()).commands == ["QUIT"]


def test_not_every_domain_waits_for_a_host_that_is_down() -> None:
    async def scenario() -> tuple[float, set[Meaning]]:
        zone: dict[tuple[str, str], list[str]] = {("mx.test", "A"): ["127.0.0.9"]}
        domains = [f"d{number}.test" for number in range(20)]
        zone |= {(domain, "MX"): ["10 mx.test."] for domain in domains}
        async with mail_server(says_nothing, "127.0.0.9") as (port, _), name_server(zone) as (_, address):
            network = MailNetwork(
                MailNetworkConfig((address,), port, allow_private=True, command_timeout=0.2, connections_per_host=2)
            )

            async def meaning(domain: str) -> Meaning:
                async with network.conversation(await network.route(domain)) as conversation:
                    return (await conversation.probe([f"grace@{domain}"]))[f"grace@{domain}"].meaning

            started = asyncio.get_running_loop().time()
            found = set(await asyncio.gather(*map(meaning, domains)))
            return asyncio.get_running_loop().time() - started, found

    seconds, found = asyncio.run(scenario())

    assert found == {Meaning.UNREACHABLE}
    assert seconds < 20 / 2 * 0.2


def test_a_server_that_complains_about_our_pace_gets_fewer_connections() -> None:
    async def scenario() -> None:
        zone: dict[tuple[str, str], list[str]] = {("mx.test", "A"): ["127.0.0.9"], ("acme.test", "MX"): ["10 mx.test."]}
        rate_limiting = mail_host(replies={"RCPT": b"450 4.7.1 Error: rate limit exceeded"})
        async with mail_server(rate_limiting, "127.0.0.9") as (port, _), name_server(zone) as (_, address):
            config = MailNetworkConfig((address,), port, allow_private=True, connections_per_host=4)
            pacing = ProcessPacing(PacingLimits.of(config), config.conversations)
            network = MailNetwork(config, pacing=pacing)
            async with network.conversation(await network.route("acme.test")) as conversation:
                await conversation.probe(["grace@acme.test"])
            await network.flush()

            for _ in range(2):
                await pacing.acquire(place_of("mx.test", "127.0.0.9"))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await pacing.acquire(place_of("mx.test", "127.0.0.9"))
            await network.close()

    asyncio.run(scenario())


def test_a_hundred_tarpits_cost_no_more_than_one() -> None:
    tarpits: dict[str, Reply | Talk] = {f"tarpit{number}.test": drips for number in range(100)}
    found = probe_at_each(tarpits | {"acme.test": mail_host("grace")}, command_timeout=5, contact_timeout=2)

    assert found["acme.test"][0].meaning is Meaning.ACCEPTED
    assert {answer.meaning for domain, (answer, _) in found.items() if domain != "acme.test"} == {Meaning.TIME_LIMIT}


def test_probes_after_the_time_limit_hold_no_slot_and_do_not_count_against_the_host() -> None:
    async def scenario() -> list[Meaning]:
        stalls = [True]

        def reply(command: str) -> bytes | None:
            return b"" if command.startswith("RCPT") and stalls[0] else mail_host("grace")(command)

        config = {"contact_timeout": 0.1, "connections_per_host": 1}
        async with world({"acme.test": reply}, **config) as scripted:
            route, found = await scripted.network.route("acme.test"), []
            async with scripted.network.conversation(route) as late:
                found += [(await late.probe(["grace@acme.test"]))["grace@acme.test"].meaning for _ in range(4)]
            stalls[0] = False
            async with asyncio.timeout(5), scripted.network.conversation(route) as fresh:
                found.append((await fresh.probe(["grace@acme.test"]))["grace@acme.test"].meaning)
            return found

    assert asyncio.run(scenario()) == [Meaning.TIME_LIMIT] * 4 + [Meaning.ACCEPTED]
