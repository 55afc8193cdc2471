"""Hooks reach public addresses only, at the address that was checked."""

import asyncio
from uuid import UUID

import dns.message
import dns.rrset
import httpcore
import pytest

from models.database import Database
from pipeline.errors import InvalidInput
from pipeline.hooks.urls import usable_url
from pipeline.mail.dns.routes import Resolver
from tests.unit.hooks.hooked import cancelled_run, deliver, hook, messages
from tests.unit.hooks.receiver import Receiver
from tests.unit.mail.servers.odd_name_servers import Zone, odd_name_servers, servfail
from worker.hooks.addresses import CheckedConnections, NotReachable

PUBLIC = "8.8.8.8"
PORT = 443


class NoNetwork(httpcore.AsyncNetworkBackend):
    """Notes where a connection would go: tests reach loopback only."""

    def __init__(self) -> None:
        self.connected: list[tuple[str, int]] = []

    async def connect_tcp(self, host: str, port: int, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
        self.connected.append((host, port))
        raise httpcore.ConnectError("nobody is there")


def connect(host: str, zone: Zone, *, allow_private: bool = False, times: int = 1) -> tuple[list[Exception], NoNetwork]:
    """Connect to a host; return what was raised, and where connections went."""
    network, raised = NoNetwork(), list[Exception]()

    async def go() -> None:
        async with odd_name_servers(zone) as (addresses, _):
            resolver = Resolver(addresses, timeout=0.5, allow_private=allow_private)
            connections = CheckedConnections(resolver)
            connections._connections = network  # type: ignore[assignment] # noqa: SLF001
            for _time in range(times):
                try:
                    await connections.connect_tcp(host, PORT)
                except httpcore.ConnectError as error:
                    raised.append(error)
            await resolver.close()

    asyncio.run(go())
    return raised, network


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1"],  # noqa: S104
)
def test_a_name_that_leads_to_a_private_address_is_not_connected(address: str) -> None:
    (error,), network = connect("app.test", {("app.test", "A"): [address]})

    assert str(error) == "its address is not public"
    assert network.connected == []


@pytest.mark.parametrize(
    "host", ["localhost", "a.localhost", "127.0.0.1", "::1", "::ffff:127.0.0.1", "fd00::1", "LOCALHOST."]
)
def test_a_private_address_in_the_url_is_not_connected(host: str) -> None:
    (error,), network = connect(host, {})

    assert isinstance(error, NotReachable)
    assert network.connected == []


def test_of_several_addresses_only_public_ones_are_connected() -> None:
    _, network = connect("app.test", {("app.test", "A"): ["127.0.0.1", PUBLIC, "10.0.0.1"]})

    assert network.connected == [(PUBLIC, PORT)]


def test_a_name_that_changes_between_check_and_connection_gains_nothing() -> None:
    """The first answer is public, and all later ones lead to loopback."""
    answers = iter([PUBLIC])

    def rebinding(query: dns.message.QueryMessage, _over_tcp: bool) -> dns.message.Message:
        response = dns.message.make_response(query)
        address = next(answers, "127.0.0.1")
        response.answer.append(dns.rrset.from_text("app.test.", 0, "IN", "A", address))
        return response

    _, network = connect("app.test", {("app.test", "A"): rebinding}, times=3)

    assert set(network.connected) == {(PUBLIC, PORT)}


def test_a_name_without_address_and_name_servers_that_fail_are_told_apart() -> None:
    (nobody,), _ = connect("nobody.test", {})
    (failing,), _ = connect("app.test", {("app.test", "A"): servfail})

    assert str(nobody) == "its name has no address"
    assert str(failing) == "its name servers failed"


def test_a_setting_allows_private_addresses() -> None:
    _, network = connect("app.test", {("app.test", "A"): ["10.0.0.1"]}, allow_private=True)

    assert network.connected == [("10.0.0.1", PORT)]


def test_without_the_setting_nothing_reaches_loopback(database: Database, owner: UUID, receiver: Receiver) -> None:
    hook(database, owner, receiver.url)
    cancelled_run(database, owner)

    deliver(database, allow_private=False)

    assert receiver.received == []
    assert messages(database, "attempt_log")[0][0]["problem"] == "its address is not public"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "it must begin with https://"),
        ("app.example/growth", "it must begin with https://"),
        ("http://app.example/growth", "it must begin with https://"),
        ("ftp://app.example/growth", "it must begin with https://"),
        ("file:///etc/passwd", "it must begin with https://"),
        ("https://", "it has no host"),
        ("https:///growth", "it has no host"),
        ("https://user:password@app.example/", "it has a user name or a password"),
        ("https://app.example/#part", "it has a fragment"),
        ("https://app.example:0/", "its port must be from 1 to 65535"),
        ("https://app.example:99999/", "its port must be from 1 to 65535"),
        ("https://[::1/", "it is no URL"),
        ("https://127.0.0.1/", "its address is not public"),
        ("https://[::1]/", "its address is not public"),
        ("https://[::ffff:10.0.0.1]/", "its address is not public"),
        ("https://169.254.169.254/latest/meta-data", "its address is not public"),
        ("https://localhost/", "its address is not public"),
        ("https://LOCALHOST./", "its address is not public"),
        ("https://a.localhost/", "its address is not public"),
        ("https://a..b/", "its host is no name and no address"),
        ("https://a%20b/", "its host is no name and no address"),
        ("https://./", "its host is no name and no address"),
        ("https://-a.example/", "its host is no name and no address"),
        ("https://127.1/", "its host is no name and no address"),
        ("https://" + "x" * 64 + ".example/", "its host is no name and no address"),
        ("https://" + "x." * 127 + "example/", "its host is no name and no address"),
        ("https://app.example/\x00", "it is no URL"),
        ("https://app.example/" + "x" * 2000, "it has more than 2000 characters"),
    ],
)
def test_a_url_that_can_not_be_used_is_refused_with_a_sentence(url: str, why: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        usable_url(url, allow_private=False)

    assert str(refused.value).startswith(f"field url: {why}")
    assert "password@" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:5678/webhook", "https://127.0.0.1/"])
def test_the_refusal_of_a_local_url_names_the_setting_that_permits_it(url: str) -> None:
    with pytest.raises(InvalidInput, match="on an installation of your own HOOK_ALLOW_PRIVATE=true permits this one"):
        usable_url(url, allow_private=False)


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("https://app.example/growth?token=a%20b", "https://app.example/growth?token=a%20b"),
        (" https://app.example:8443/ ", "https://app.example:8443/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://my_app.example./", "https://my_app.example./"),
    ],
)
def test_a_url_is_stored_as_it_is_sent(url: str, stored: str) -> None:
    assert usable_url(url, allow_private=False) == stored


def test_private_urls_are_usable_where_the_setting_allows_them() -> None:
    assert usable_url("http://127.0.0.1:5678/webhook", allow_private=True) == "http://127.0.0.1:5678/webhook"
