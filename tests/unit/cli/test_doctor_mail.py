"""The findings of `growth doctor --mail-domain`, against scripted servers."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cli.doctor.finding import Finding, Mark
from cli.doctor.mail import look_at_mail
from settings import Settings
from tests.unit.mail.servers.reacher_server import Response, output, reacher
from tests.unit.mail.servers.scripted_servers import SERVFAIL, Reply, mail_host, mail_server, name_server

IP = "127.7.9.1"
ZONE = {("acme.test", "MX"): ["10 mx.acme.test."], ("mx.acme.test", "A"): [IP]}
SENDER = {("client.sender.test", "A"): ["192.0.2.7"], ("7.2.0.192.in-addr.arpa", "PTR"): ["client.sender.test."]}


def diagnose(
    host: Reply | None = None,
    zone: Any = ZONE,
    verifier: Callable[[str], Response | None] | None = None,
    **settings: Any,
) -> dict[str, Finding]:
    async def scenario() -> Sequence[Finding]:
        async with AsyncExitStack() as stack:
            port, _ = await stack.enter_async_context(mail_server(host, IP)) if host else (9, None)
            _, (address, dns_port) = await stack.enter_async_context(name_server(zone))
            if verifier:
                settings["verifier_url"] = (await stack.enter_async_context(reacher(verifier))).url
            given = Settings(
                dns_resolvers=(f"{address}:{dns_port}",), smtp_port=port, smtp_allow_private=True, **settings
            )
            return await asyncio.to_thread(look_at_mail, given, "acme.test")

    return {finding.what: finding for finding in asyncio.run(scenario())}


def extension(name: bytes) -> Reply:
    return mail_host("postmaster", replies={"EHLO": b"250-host.test\r\n250-" + name + b"\r\n250 8BITMIME"})


def test_a_network_without_obstacles_is_fine_and_a_server_without_encryption_is_worth_a_warning() -> None:
    found = diagnose(extension(b"PIPELINING"), ZONE | SENDER, smtp_helo_name="client.sender.test")

    assert {what: finding.mark for what, finding in found.items()} == {
        "DNS": Mark.OK, "SMTP": Mark.OK, "TLS": Mark.WARNING, "Identity": Mark.OK,
    }  # fmt: skip
    assert "mx.acme.test answers on port" in found["SMTP"].sentence
    assert "client.sender.test resolves to 192.0.2.7 and back" in found["Identity"].sentence


def test_a_closed_port_is_reported_with_what_to_do() -> None:
    finding = diagnose()["SMTP"]

    assert not finding.is_fine
    for words in ("does not answer on port 9", IP, "block port 25", "set VERIFIER_URL"):
        assert words in finding.sentence


def test_a_host_that_blocks_us_is_not_mistaken_for_a_closed_port() -> None:
    finding = diagnose(mail_host(replies={"": b"554 5.7.1 your IP is blacklisted"}))["SMTP"]

    assert not finding.is_fine
    assert "refuses our address (554): check reverse DNS and blocklists." in finding.sentence


def test_a_resolver_that_makes_up_answers_is_reported() -> None:
    class Anything(dict[tuple[str, str], Any]):
        def get(self, key: tuple[str, str], default: Any = None) -> Any:
            made_up = [IP] if key == (key[0], "A") else default
            return super().get(key, made_up)

        def __iter__(self) -> Any:
            return iter([*super().__iter__(), *((name, "A") for name in asked)])

    asked: list[str] = []

    class EveryName:
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 0

    zone = Anything(ZONE)
    asked.append(EveryName())  # type: ignore[arg-type]

    finding = diagnose(mail_host("postmaster"), zone)["DNS"]

    assert not finding.is_fine
    assert "makes up an answer for a name that does not exist" in finding.sentence


@pytest.mark.parametrize(
    ("zone", "sentence"),
    [({}, "has no address"), ({("client.sender.test", "A"): ["192.0.2.7"]}, "the reverse DNS (PTR) of 192.0.2.7")],
)
def test_an_ehlo_name_without_matching_dns_is_reported(zone: Any, sentence: str) -> None:
    finding = diagnose(mail_host("postmaster"), ZONE | zone, smtp_helo_name="client.sender.test")["Identity"]

    assert not finding.is_fine
    assert sentence in finding.sentence


def test_each_source_address_is_looked_at() -> None:
    def sources(*ips: str) -> Finding:
        zone = ZONE | SENDER
        return diagnose(mail_host("postmaster"), zone, smtp_helo_name="client.sender.test", smtp_source_ips=ips)[
            "Identity"
        ]

    assert sources("127.0.0.1").is_fine
    assert "we connect from 8.8.8.8, which client.sender.test does not resolve to" in sources("8.8.8.8").sentence


def test_an_error_of_the_resolver_is_reported() -> None:
    finding = diagnose(zone={("acme.test", "MX"): SERVFAIL})["DNS"]

    assert not finding.is_fine
    assert "no answer about acme.test (SERVFAIL): check DNS_RESOLVERS" in finding.sentence


def test_a_server_without_starttls_is_reported() -> None:
    assert "does not offer STARTTLS" in diagnose(extension(b"PIPELINING"))["TLS"].sentence


def test_with_a_remote_verifier_that_one_is_asked_and_no_mail_server() -> None:
    found = diagnose(verifier=lambda _: output())

    assert list(found) == ["DNS", "Verifier"]
    assert found["Verifier"].is_fine


@pytest.mark.parametrize(
    ("response", "sentence"),
    [(Response({}, 401), "Check VERIFIER_HEADER"), (Response(b"hello", 200), "check VERIFIER_URL")],
)
def test_an_unusable_remote_verifier_is_reported(response: Response, sentence: str) -> None:
    finding = diagnose(verifier=lambda _: response)["Verifier"]

    assert not finding.is_fine
    assert sentence in finding.sentence
