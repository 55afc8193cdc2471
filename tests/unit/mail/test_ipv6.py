"""Mail hosts that are reached by IPv6, on this machine's loopback."""

import asyncio
import socket

import pytest

from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.outcomes import Outcome, OutcomeStatus
from tests.unit.mail.servers.scripted_servers import mail_host, mail_server, name_server
from tests.unit.mail.verifying import outcome_of


def has_loopback() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_loopback(), reason="needs ::1")


def verify(addresses: dict[tuple[str, str], list[str]], *, source_ips: tuple[str, ...] = (), ipv6: bool) -> Outcome:
    async def scenario() -> Outcome:
        zone = {("acme.test", "MX"): ["10 mx.acme.test."], **addresses}
        async with (
            mail_server(mail_host("grace"), "::1") as (port, _),
            name_server(zone) as (_, resolver),
        ):
            config = MailNetworkConfig((resolver,), port, allow_private=True, ipv6=ipv6, source_ips=source_ips)
            network = MailNetwork(config)
            outcome = await outcome_of("grace@acme.test", network)
            await network.close()
            return outcome

    return asyncio.run(scenario())


@pytest.mark.parametrize("ipv6", [True, False])
def test_a_host_that_has_nothing_else_is_reached_by_ipv6(ipv6: bool) -> None:
    assert verify({("mx.acme.test", "AAAA"): ["::1"]}, ipv6=ipv6).status is OutcomeStatus.VALID


def test_a_host_whose_ipv4_address_is_dead_is_reached_by_ipv6() -> None:
    both = {("mx.acme.test", "A"): ["127.7.99.1"], ("mx.acme.test", "AAAA"): ["::1"]}

    assert verify(both, ipv6=True).status is OutcomeStatus.VALID


def test_a_source_address_of_the_family_is_used() -> None:
    found = verify({("mx.acme.test", "AAAA"): ["::1"]}, source_ips=("127.0.0.1", "::1"), ipv6=True)

    assert found.status is OutcomeStatus.VALID
