"""The memory that workers share about mail domains, in a real Valkey."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import redis
import uvloop

from models.redis_server import open_async_redis
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.mail.replies.answer import Answer
from tests.unit.mail.servers.odd_name_servers import Asked, Zone, odd_name_servers, servfail
from tests.unit.mail.servers.scripted_servers import mail_host, mail_server
from worker.adapters.redis_memory import PREFIX, RedisMemory

T = TypeVar("T")

DOMAINS = [f"d{number}.test" for number in range(50)]
ZONE: Zone = {(domain, "A"): ["127.0.0.2"] for domain in DOMAINS}
ACME: Zone = {("acme.test", "A"): ["127.0.0.2"]}


def with_networks(
    url: str, zone: Zone, work: Callable[[list[MailNetwork]], Awaitable[T]], count: int = 2, port: int = 25
) -> tuple[T, Asked]:
    """Work with several networks that share a memory and a name server, as the processes of a fleet do."""

    async def scenario() -> tuple[T, Asked]:
        async with odd_name_servers(zone) as (addresses, (asked,)):
            config = MailNetworkConfig(tuple(addresses), port, allow_private=True)
            networks = [MailNetwork(config, RedisMemory(url)) for _ in range(count)]
            try:
                return await work(networks), asked
            finally:
                for network in networks:
                    await network.close()

    return asyncio.run(scenario())


async def routes_one_after_the_other(networks: list[MailNetwork]) -> list[object]:
    found: list[object] = []
    for network in networks:
        found.append(await asyncio.gather(*map(network.route, DOMAINS)))
        await network.close()
    return found


def commands(client: redis.Redis, name: str) -> int:
    return int(client.info("commandstats").get(f"cmdstat_{name}", {}).get("calls", 0))


def test_a_route_that_one_worker_found_is_not_asked_for_by_another(valkey_url: str, redis_client: redis.Redis) -> None:
    (first, second), asked = with_networks(valkey_url, ZONE, routes_one_after_the_other)

    assert first == second
    assert len(asked.names) == 2 * len(DOMAINS)


def test_a_shared_route_expires_with_its_ttl(valkey_url: str, redis_client: redis.Redis) -> None:
    with_networks(valkey_url, ZONE, routes_one_after_the_other)

    lives = [redis_client.ttl(key) for key in redis_client.keys(f"{PREFIX}*")]
    assert len(lives) == len(DOMAINS)
    assert all(0 < life <= 300 for life in lives)


def test_a_chunks_domains_are_looked_up_in_one_request(valkey_url: str, redis_client: redis.Redis) -> None:
    before = commands(redis_client, "mget")

    with_networks(valkey_url, ZONE, routes_one_after_the_other)

    assert commands(redis_client, "mget") == before + 2


def test_a_random_address_is_probed_once_by_the_whole_fleet(valkey_url: str, redis_client: redis.Redis) -> None:
    async def random_probe(networks: list[MailNetwork]) -> list[Answer]:
        found = []
        for network in networks:
            async with network.conversation(await network.route("acme.test")) as conversation:
                found.append(await network.random_probe(conversation))
            await network.close()
        return found

    async def scenario() -> tuple[list[Answer], list[str]]:
        async with mail_server(mail_host("grace"), "127.0.0.2") as (port, seen):
            answers, _ = await asyncio.to_thread(with_networks, valkey_url, ACME, random_probe, 2, port)
            return answers, seen.verbs("RCPT")

    (first, second), recipients = asyncio.run(scenario())

    assert first == second
    assert first.says_catch_all is False
    assert len(recipients) == 1


def test_a_failure_is_not_shared(valkey_url: str, redis_client: redis.Redis) -> None:
    async def route(networks: list[MailNetwork]) -> None:
        await networks[0].route("acme.test")

    with_networks(valkey_url, {("acme.test", "MX"): servfail}, route)

    assert redis_client.keys(f"{PREFIX}*") == []


def test_workers_with_other_name_servers_share_nothing(valkey_url: str, redis_client: redis.Redis) -> None:
    async def scenario() -> list[int]:
        # Both run at the same time: the second could get the port of the first, and is known by it.
        async with odd_name_servers(ZONE, ZONE) as (addresses, asked):
            configs = [MailNetworkConfig((address,), 25, allow_private=True) for address in addresses]
            await routes_one_after_the_other([MailNetwork(config, RedisMemory(valkey_url)) for config in configs])
            return [len(each.names) for each in asked]

    assert asyncio.run(scenario()) == [2 * len(DOMAINS)] * 2


@pytest.mark.parametrize("nonsense", [b"", b"{", b"[1]", b'[60, {"domain": 7}]', b"\xff"])
def test_an_unreadable_shared_value_is_looked_up_anew(
    valkey_url: str, redis_client: redis.Redis, nonsense: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def spoil_and_route(networks: list[MailNetwork]) -> object:
        first = await networks[0].route("acme.test")
        await networks[0].close()
        (key,) = redis_client.keys(f"{PREFIX}*")
        redis_client.set(key, nonsense)
        return first == await networks[1].route("acme.test")

    is_same, asked = with_networks(valkey_url, ACME, spoil_and_route)

    assert is_same
    assert asked.names == ["acme.test"] * 4
    assert "acme" not in caplog.text


def test_without_redis_each_worker_finds_out_for_itself_and_loses_no_time(caplog: pytest.LogCaptureFixture) -> None:
    (first, second), asked = with_networks("redis://127.0.0.1:1/0", ZONE, routes_one_after_the_other)

    assert first == second
    assert len(asked.names) == 4 * len(DOMAINS)
    assert caplog.text.count("not shared for now") == 2, "each worker asks it once, and then leaves it alone"


def test_a_connection_that_was_reset_is_told_by_the_error_that_is_tried_again(valkey_url: str) -> None:
    """On the event loop of workers, which has an error of its own for it."""

    async def use_a_reset_connection() -> None:
        client = open_async_redis(valkey_url)
        connection = await client.connection_pool.get_connection()
        connection._writer.transport.abort()  # noqa: SLF001 - as a reset does
        await asyncio.sleep(0)
        with pytest.raises(redis.ConnectionError):
            await connection.send_command("PING")
        await client.aclose()

    uvloop.run(use_a_reset_connection())
