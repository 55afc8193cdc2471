"""How mail servers see us: the EHLO name, its addresses, and their reverse DNS."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from pipeline.mail.identity import Identity, find_identity
from tests.unit.mail.servers.scripted_servers import name_server

NAME = "client.sender.test"
ADDRESS = "192.0.2.7"
REVERSE = "7.2.0.192.in-addr.arpa"


def identity(zone: Mapping[tuple[str, str], Sequence[str]], name: str = NAME) -> Identity:
    async def scenario() -> Identity:
        async with name_server(zone) as (_, address):
            return await find_identity([address], name, "127.0.0.1", 2.0)

    return asyncio.run(scenario())


def test_a_name_and_a_reverse_name_that_fit_are_no_problem() -> None:
    found = identity({(NAME, "A"): [ADDRESS], (REVERSE, "PTR"): ["Client.Sender.test."]}, name="Client.Sender.test.")

    assert (found.addresses, found.names, found.problem) == ([ADDRESS], {ADDRESS: [NAME]}, None)
    assert found.is_behind_nat, "this machine reaches loopback from loopback"


@pytest.mark.parametrize(
    ("zone", "sentence"),
    [
        ({}, "client.sender.test has no address: publish an A record"),
        (
            {(NAME, "A"): [ADDRESS]},
            "the reverse DNS (PTR) of 192.0.2.7 is missing: have your provider set it to client",
        ),
        (
            {(NAME, "A"): [ADDRESS], (REVERSE, "PTR"): ["pool-7.isp.test."]},
            "the reverse DNS (PTR) of 192.0.2.7 is pool-7.isp.test: have your provider",
        ),
    ],
)
def test_a_mismatch_is_reported_with_what_to_do(zone: Mapping[tuple[str, str], Sequence[str]], sentence: str) -> None:
    assert sentence in (identity(zone).problem or "")


def test_a_public_address_that_the_name_does_not_resolve_to_is_reported() -> None:
    found = Identity(NAME, [ADDRESS], "8.8.8.8", {"8.8.8.8": [NAME]})

    assert not found.is_behind_nat
    assert "we connect from 8.8.8.8, which client.sender.test does not resolve to" in (found.problem or "")
