"""Connections leave by their domain's egress: a source address, or a SOCKS5 proxy."""

import asyncio
import logging
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.meaning import Meaning
from pipeline.mail.smtp.egress import EgressPool, SocksProxy
from pipeline.mail.smtp.errors import ConnectError
from settings import Settings
from tests.unit.mail.servers.scripted_servers import Seen, Talk, mail_host, talk, world
from tests.unit.mail.servers.socks_server import FAILED, NOT_ALLOWED, SocksServer, socks_server

SOURCES = ("127.9.0.1", "127.9.0.2", "127.9.0.3")
CLOSED_PORT = 1


def egress_of(domain: str, pool: EgressPool) -> str:
    return str(pool.towards(domain, "192.0.2.1")[0])


def test_domains_are_spread_over_all_egresses() -> None:
    pool = EgressPool(SOURCES)

    chosen = Counter(egress_of(f"d{number}.test", pool) for number in range(300))

    assert set(chosen) == set(SOURCES)
    assert min(chosen.values()) > 50


@settings(max_examples=30, deadline=None)
@given(st.permutations(SOURCES), st.from_regex(r"[a-z]{1,20}\.test", fullmatch=True))
def test_a_domain_has_the_same_egress_in_every_process_and_whatever_the_order_of_the_setting(
    order: list[str], domain: str
) -> None:
    assert egress_of(domain, EgressPool(order)) == egress_of(domain, EgressPool(SOURCES))


@settings(max_examples=30, deadline=None)
@given(st.from_regex(r"[a-z]{1,20}\.test", fullmatch=True))
def test_an_egress_that_is_removed_moves_only_the_domains_that_it_had(domain: str) -> None:
    before, after = egress_of(domain, EgressPool(SOURCES)), egress_of(domain, EgressPool(SOURCES[:2]))

    assert before in (after, SOURCES[2])


def test_a_source_address_serves_hosts_of_its_own_family() -> None:
    pool = EgressPool(["192.0.2.7", "2001:db8::7"])

    assert [str(each) for each in pool.towards("acme.test", "192.0.2.1")] == ["192.0.2.7"]
    assert [str(each) for each in pool.towards("acme.test", "2001:db8::1")] == ["2001:db8::7"]
    with pytest.raises(ConnectError, match="family"):
        EgressPool(["192.0.2.7"]).towards("acme.test", "2001:db8::1")


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("socks5://proxy.test", SocksProxy("proxy.test", 1080)),
        ("socks5://proxy.test:9050", SocksProxy("proxy.test", 9050)),
        ("socks5://ada:p%40ss%2C%3A@[::1]:9050", SocksProxy("::1", 9050, "ada", "p@ss,:")),
    ],
)
def test_a_proxy_is_read_from_its_url(url: str, proxy: SocksProxy) -> None:
    assert SocksProxy.parse(url) == proxy


def test_a_proxys_password_is_never_printed() -> None:
    proxy = SocksProxy.parse("socks5://ada:secret@proxy.test")

    assert "secret" not in f"{proxy} {proxy!r}"


async def probe_grace(behaviour: Talk, **config: Any) -> Answer:
    async with world({"acme.test": behaviour}, **config) as scripted:
        route = await scripted.network.route("acme.test")
        async with scripted.network.conversation(route) as conversation:
            return (await conversation.probe(["grace@acme.test"]))["grace@acme.test"]


def noting_clients(clients: list[str]) -> Talk:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(writer.get_extra_info("peername")[0])
        await talk(mail_host("grace"), Seen())(reader, writer)

    return converse


def test_a_mail_host_sees_the_domains_source_address() -> None:
    clients: list[str] = []

    answer = asyncio.run(probe_grace(noting_clients(clients), source_ips=SOURCES))

    assert answer.meaning is Meaning.ACCEPTED
    assert clients == [egress_of("acme.test", EgressPool(SOURCES))]


def test_a_source_address_that_is_not_ours_is_passed_over_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    clients: list[str] = []
    foreign = next(
        ip for ip in (f"192.0.2.{n}" for n in range(50)) if egress_of("acme.test", EgressPool([ip, SOURCES[0]])) == ip
    )

    answer = asyncio.run(probe_grace(noting_clients(clients), source_ips=(foreign, SOURCES[0])))

    assert (answer.meaning, clients) == (Meaning.ACCEPTED, [SOURCES[0]])
    assert f"source address {foreign} is not one of this machine's" in caplog.text


def through(proxy: SocksServer, password: str | None = None) -> SocksProxy:
    return SocksProxy("127.0.0.1", proxy.port, "ada" if password else None, password)


@pytest.mark.parametrize("password", [None, "secret"])
def test_a_mail_host_is_reached_through_a_proxy(password: str | None) -> None:
    async def scenario() -> tuple[Answer, SocksServer]:
        credentials = (b"ada", password.encode()) if password else None
        async with socks_server(credentials) as proxy:
            return await probe_grace(noting_clients([]), proxies=(through(proxy, password),)), proxy

    answer, proxy = asyncio.run(scenario())

    assert answer.meaning is Meaning.ACCEPTED
    assert proxy.asked == ["127.7.0.11"]


def test_a_wrong_password_is_reported_without_the_password() -> None:
    async def scenario() -> Answer:
        async with socks_server((b"ada", b"right")) as proxy:
            return await probe_grace(noting_clients([]), proxies=(through(proxy, "wrong"),))

    answer = asyncio.run(scenario())

    assert answer.meaning is Meaning.UNREACHABLE
    assert "SOCKS5 proxy 127.0.0.1" in answer.text
    assert "wrong" not in answer.text


def test_a_host_that_the_proxy_can_not_reach_is_unreachable() -> None:
    async def scenario() -> Answer:
        async with socks_server(reply=FAILED) as proxy:
            return await probe_grace(noting_clients([]), proxies=(through(proxy),))

    answer = asyncio.run(scenario())

    assert (answer.meaning, answer.text[:13]) == (Meaning.UNREACHABLE, "No connection")


def test_a_proxy_that_is_away_or_refuses_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> list[Answer]:
        async with AsyncExitStack() as stack:
            alive = await stack.enter_async_context(socks_server())
            refusing = await stack.enter_async_context(socks_server(reply=NOT_ALLOWED))
            gone = SocksProxy("127.0.0.1", CLOSED_PORT)
            proxies = (gone, through(refusing), through(alive))
            return [await probe_grace(noting_clients([]), proxies=proxies) for _ in range(3)]

    with caplog.at_level(logging.WARNING):
        answers = asyncio.run(scenario())

    assert {answer.meaning for answer in answers} == {Meaning.ACCEPTED}


@pytest.mark.parametrize("url", ["ftp://x", "socks5://", "socks5://h:99999", "http://ada:secret@proxy.test"])
def test_a_setting_that_is_no_proxy_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValidationError, match="socks5://user:password@host:port") as refusal:
        Settings(smtp_proxies=url)  # type: ignore[arg-type]

    assert "secret" not in refusal.value.errors()[0]["msg"]
