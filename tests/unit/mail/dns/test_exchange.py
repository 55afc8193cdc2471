"""Queries to one name server over UDP: how many share a local port, and how they fail together."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.mail.dns.exchange import QUERIES_PER_PORT, NameServer, octets_of
from pipeline.mail.dns.fast_parse import PlainAnswer

PATIENCE = 30.0
LABELS = st.text("abz09-_A\\.é", min_size=1, max_size=64)


class Collector(asyncio.DatagramProtocol):
    """Answers when `enough` queries have come; `by_port` has the identities that each port of the client's used."""

    def __init__(self, enough: int) -> None:
        self.by_port: dict[int, list[int]] = defaultdict(list)
        self._enough = enough
        self._waiting: list[tuple[dns.message.Message, Any]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        self.by_port[addr[1]].append(query.id)
        self._waiting.append((query, addr))
        if len(self._waiting) == self._enough:
            for each, client in self._waiting:
                self.answer(each, client)
            self._waiting.clear()

    def answer(self, query: dns.message.Message, client: Any) -> None:
        self.transport.sendto(_answer_to(query).to_wire(), client)


class Forger(Collector):
    """Answers each query under its identity, but sends before it an answer to another question."""

    def answer(self, query: dns.message.Message, client: Any) -> None:
        other = dns.message.make_query("other.test", "A", id=query.id)
        self.transport.sendto(_answer_to(other, "192.0.2.66").to_wire(), client)
        super().answer(query, client)


def _answer_to(query: dns.message.Message, ip: str = "192.0.2.1") -> dns.message.Message:
    response = dns.message.make_response(query)
    response.answer.append(dns.rrset.from_text(query.question[0].name, 300, "IN", "A", ip))
    return response


@asynccontextmanager
async def name_server(protocol: Collector) -> AsyncIterator[NameServer]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: protocol, local_addr=("127.0.0.1", 0))
    try:
        yield NameServer(transport.get_extra_info("sockname"))
    finally:
        transport.close()


def query(server: NameServer, number: int) -> Any:
    return server.query(f"host{number}.test", dns.rdatatype.A, PATIENCE)


def test_questions_that_are_open_at_once_share_ports_a_few_to_each() -> None:
    questions = 2 * QUERIES_PER_PORT + 1

    async def scenario() -> tuple[list[Any], Collector]:
        async with name_server(collector := Collector(questions)) as server:
            return await asyncio.gather(*(query(server, number) for number in range(questions))), collector

    answers, collector = asyncio.run(scenario())

    assert answers == [PlainAnswer(("192.0.2.1",), 300)] * questions
    assert [len(identities) for identities in collector.by_port.values()] == [QUERIES_PER_PORT, QUERIES_PER_PORT, 1]
    assert all(len(set(identities)) == len(identities) for identities in collector.by_port.values())


def test_a_port_is_closed_with_its_last_open_question() -> None:
    async def scenario() -> Collector:
        async with name_server(collector := Collector(1)) as server:
            for number in range(20):
                await query(server, number)
            return collector

    assert len(asyncio.run(scenario()).by_port) > 10, "the system chooses each port anew, now and then one twice"


def test_an_answer_to_another_question_is_ignored_though_its_identity_is_right() -> None:
    async def scenario() -> list[Any]:
        async with name_server(Forger(5)) as server:
            return await asyncio.gather(*(query(server, number) for number in range(5)))

    assert asyncio.run(scenario()) == [PlainAnswer(("192.0.2.1",), 300)] * 5


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_a_server_that_is_not_there_fails_all_open_questions_at_once(at_once: int) -> None:
    async def scenario() -> list[Any]:
        async with name_server(Collector(0)) as server:
            pass
        async with asyncio.timeout(PATIENCE / 2):
            return await asyncio.gather(*(query(server, number) for number in range(at_once)), return_exceptions=True)

    assert [type(each) for each in asyncio.run(scenario())] == [ConnectionRefusedError] * at_once


@settings(max_examples=200, deadline=None)
@given(st.lists(LABELS, min_size=1, max_size=5).map(".".join))
@example("mx.acme.test")
@example("mx.acme.test.")
@example(".")
@example(f"{'a' * 63}.test")
@example(f"{'a' * 64}.test")
@example(".".join(["a" * 50] * 5))
def test_a_name_goes_over_the_wire_as_dnspython_would_send_it(name: str) -> None:
    try:
        expected = dns.name.from_text(name).to_digestable()
    except dns.exception.DNSException as refusal:
        with pytest.raises(type(refusal)):
            octets_of(name)
    else:
        assert octets_of(name) == expected
