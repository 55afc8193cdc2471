import smtplib
import socket
import time
from collections.abc import Callable, Sequence

import pytest

from sandbox.domains import RECIPIENT_LIMIT, Behaviour, Domain
from sandbox.internet import Internet
from sandbox.people import Person
from sandbox.truth import Mailbox

Dial = Callable[[Domain], smtplib.SMTP]
DomainWith = Callable[[Behaviour], Domain]
AddressOf = Callable[[str], str]


def known_address(people: list[Person], domain: Domain, mailbox: Mailbox = Mailbox.OPEN) -> str:
    return next(
        person.email for person in people if person.domain == domain.name and person.mailbox is mailbox and person.email
    )


def unknown_address(domain: Domain) -> str:
    return f"zq3v9-nobody@{domain.name}"


def reply_about(client: smtplib.SMTP, address: str, sender: str = "") -> str:
    """The reply of the server in a new transaction, on one line."""
    client.rset()
    client.mail(sender)
    code, text = client.rcpt(address)
    return f"{code} {text.decode()}".replace("\n", " ")


class Wire:
    """A client that sends exactly the commands of a test."""

    def __init__(self, address: str, port: int) -> None:
        self._socket = socket.create_connection((address, port), timeout=10)
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def say(self, *commands: str) -> None:
        self._socket.sendall("".join(f"{command}\r\n" for command in commands).encode())

    def replies(self, count: int) -> list[str]:
        """The last lines of so many replies."""
        return [self._reply() for _ in range(count)]

    def ended(self) -> bool:
        return self._lines.readline() == b""

    def _reply(self) -> str:
        while (line := self._lines.readline().decode().rstrip())[3:4] == "-":
            pass
        return line


@pytest.fixture
def wire_to(internet: Internet, address_of: AddressOf) -> Callable[[Domain], Wire]:
    return lambda domain: Wire(address_of(domain.living_hosts[0]), internet.smtp_port)


def test_an_ordinary_server_offers_the_usual_extensions(dial: Dial, domains: Sequence[Domain]) -> None:
    domain = next(domain for domain in domains if domain.dialect == "postfix")

    client = dial(domain)

    assert {"pipelining", "size", "8bitmime", "enhancedstatuscodes"} <= client.esmtp_features.keys()


def test_a_mailbox_is_accepted_and_an_unknown_one_refused(
    dial: Dial, domain_with: DomainWith, people: list[Person]
) -> None:
    domain = domain_with(Behaviour.ORDINARY)
    client = dial(domain)

    assert reply_about(client, known_address(people, domain)).startswith("250 ")
    assert reply_about(client, known_address(people, domain).upper()).startswith("250 ")
    assert reply_about(client, unknown_address(domain)).startswith("550 ")


def test_every_mail_server_has_a_postmaster(dial: Dial, domain_with: DomainWith) -> None:
    domain = domain_with(Behaviour.ORDINARY)

    assert reply_about(dial(domain), f"postmaster@{domain.name}").startswith("250 ")


def test_a_server_takes_no_mail_for_other_peoples_domains(dial: Dial, domain_with: DomainWith) -> None:
    reply = reply_about(dial(domain_with(Behaviour.ORDINARY)), "ada@elsewhere.test")

    assert reply.startswith(("550 ", "554 "))
    assert "relay" in reply.lower()


@pytest.mark.parametrize("mailbox", [Mailbox.FULL, Mailbox.DISABLED])
def test_full_and_disabled_mailboxes_are_distinguished_from_unknown_ones(
    dial: Dial, domains: Sequence[Domain], people: list[Person], mailbox: Mailbox
) -> None:
    ordinary = {domain.name: domain for domain in domains if domain.behaviour is Behaviour.ORDINARY}
    person = next(p for p in people if p.mailbox is mailbox and p.domain in ordinary)

    reply = reply_about(dial(ordinary[person.domain]), str(person.email))

    expected = {Mailbox.FULL: ("452 4.2.2", "552 5.2.2"), Mailbox.DISABLED: ("550 5.2.1",)}
    assert reply.startswith(expected[mailbox])


def test_an_accepted_recipient_of_a_catch_all_proves_nothing(dial: Dial, domain_with: DomainWith) -> None:
    domain = domain_with(Behaviour.CATCH_ALL)

    assert reply_about(dial(domain), unknown_address(domain)).startswith("250 ")


def test_an_implicit_mx_takes_mail(dial: Dial, domain_with: DomainWith, people: list[Person]) -> None:
    domain = domain_with(Behaviour.NO_MX_BUT_ADDRESS)

    assert reply_about(dial(domain), known_address(people, domain)).startswith("250 ")


def test_an_aliased_mx_takes_mail(dial: Dial, domain_with: DomainWith, people: list[Person]) -> None:
    domain = domain_with(Behaviour.ALIASED_MX)

    assert reply_about(dial(domain), known_address(people, domain)).startswith("250 ")


@pytest.mark.parametrize("behaviour", [Behaviour.FIRST_MX_DEAD, Behaviour.NOTHING_LISTENS])
def test_a_dead_host_refuses_connections(
    internet: Internet, domain_with: DomainWith, address_of: AddressOf, behaviour: Behaviour
) -> None:
    address = address_of(domain_with(behaviour).mail_hosts[0])

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, internet.smtp_port), timeout=5)


def test_the_second_mx_works_where_the_first_is_dead(dial: Dial, domain_with: DomainWith, people: list[Person]) -> None:
    domain = domain_with(Behaviour.FIRST_MX_DEAD)

    assert domain.living_hosts == domain.mail_hosts[1:]
    assert reply_about(dial(domain), known_address(people, domain)).startswith("250 ")


def test_a_greylisting_server_accepts_a_recipient_that_comes_again_after_the_delay(
    dial: Dial, domain_with: DomainWith, people: list[Person]
) -> None:
    domain = domain_with(Behaviour.GREYLISTING)
    client = dial(domain)

    first, second = (reply_about(client, known_address(people, domain)) for _ in range(2))

    assert first.startswith("451 4.7.1 ")
    assert second.startswith("250 ")


def test_a_greylisting_server_defers_each_new_sender(dial: Dial, domain_with: DomainWith, people: list[Person]) -> None:
    domain = domain_with(Behaviour.GREYLISTING)
    client = dial(domain)
    reply_about(client, known_address(people, domain), sender="one@client.test")

    reply = reply_about(client, known_address(people, domain), sender="two@client.test")

    assert reply.startswith("451 4.7.1 ")


def test_a_greylisting_server_defers_a_recipient_that_comes_again_too_early(domain_with: DomainWith) -> None:
    domain = domain_with(Behaviour.GREYLISTING)

    with (
        Internet([], [domain], greylist_seconds=300.0) as internet,
        smtplib.SMTP("127.53.0.1", internet.smtp_port, local_hostname="client.test") as client,
    ):
        client.ehlo()
        replies = [reply_about(client, f"postmaster@{domain.name}") for _ in range(2)]

    assert all(reply.startswith("451 4.7.1 ") for reply in replies)


def test_a_refusing_server_names_a_blocklist_whatever_the_mailbox(
    dial: Dial, domain_with: DomainWith, people: list[Person]
) -> None:
    domain = domain_with(Behaviour.REFUSING)
    client = dial(domain)

    for address in (known_address(people, domain), unknown_address(domain)):
        reply = reply_about(client, address)
        assert reply.startswith("554 5.7.1 ")
        assert "127.0.0.1" in reply
        assert "dnsbl.example" in reply


def test_a_server_that_refuses_at_the_banner_says_why_and_hangs_up(
    wire_to: Callable[[Domain], Wire], domain_with: DomainWith
) -> None:
    with wire_to(domain_with(Behaviour.REFUSING_AT_BANNER)) as wire:
        banner = wire.replies(1)[0]

        assert banner.startswith("554 5.7.1 ")
        assert wire.ended()


def test_a_slow_server_takes_its_time_for_each_reply(
    wire_to: Callable[[Domain], Wire], domain_with: DomainWith
) -> None:
    started = time.monotonic()

    with wire_to(domain_with(Behaviour.SLOW)) as wire:
        wire.replies(1)
        wire.say("EHLO client.test", "NOOP", "NOOP")
        wire.replies(3)

    assert time.monotonic() - started >= 4 * 0.05


def test_commands_in_one_packet_are_answered_in_order(
    wire_to: Callable[[Domain], Wire], domain_with: DomainWith, people: list[Person]
) -> None:
    domain = domain_with(Behaviour.ORDINARY)
    known, unknown = known_address(people, domain), unknown_address(domain)

    with wire_to(domain) as wire:
        wire.say("EHLO client.test")
        wire.replies(2)
        wire.say("MAIL FROM:<>", f"RCPT TO:<{unknown}>", f"RCPT TO:<{known}>", f"RCPT TO:<{unknown}>", "RSET")
        wire.say("MAIL FROM:<>", *[f"RCPT TO:<{known}>"] * 200, "RSET", "QUIT")
        replies = wire.replies(5 + 203)

        codes = [reply[:3] for reply in replies]
        assert codes[:5] == ["250", "550", "250", "550", "250"]
        assert codes[5:] == ["250"] * 202 + ["221"]
        assert wire.ended()


def test_a_server_without_pipelining_does_not_offer_it_and_answers_one_command_at_a_time(
    dial: Dial, domain_with: DomainWith, people: list[Person]
) -> None:
    domain = domain_with(Behaviour.NO_PIPELINING)
    client = dial(domain)

    assert "pipelining" not in client.esmtp_features
    assert reply_about(client, known_address(people, domain)).startswith("250 ")


def test_a_server_without_pipelining_hangs_up_on_pipelined_commands(
    wire_to: Callable[[Domain], Wire], domain_with: DomainWith
) -> None:
    with wire_to(domain_with(Behaviour.NO_PIPELINING)) as wire:
        wire.replies(1)
        wire.say("EHLO client.test")
        wire.replies(1)
        wire.say("MAIL FROM:<>", "RCPT TO:<ada@cedar-foods.test>")

        assert wire.replies(1)[0].startswith("554 ")
        assert wire.ended()


def test_recipients_over_the_limit_have_to_wait_for_the_next_transaction(
    dial: Dial, domain_with: DomainWith, people: list[Person]
) -> None:
    domain = domain_with(Behaviour.RECIPIENT_LIMIT)
    client = dial(domain)
    client.mail("")

    codes = [client.rcpt(known_address(people, domain))[0] for _ in range(RECIPIENT_LIMIT + 1)]

    assert codes == [250] * RECIPIENT_LIMIT + [452]
    assert reply_about(client, known_address(people, domain)).startswith("250 ")


def test_a_message_is_refused_and_the_attempt_counted(
    internet: Internet, dial: Dial, domain_with: DomainWith, people: list[Person]
) -> None:
    domain = domain_with(Behaviour.ORDINARY)
    client = dial(domain)
    reply_about(client, known_address(people, domain))

    code, _ = client.docmd("DATA")

    assert code == 554
    assert internet.counts.commands("DATA") == 1
    assert client.noop()[0] == 250


@pytest.mark.parametrize("local_part", ["o'dunley", "søren", '"quoted part"', "a" * 65, "x{y}"])
def test_strange_local_parts_get_an_ordinary_refusal_in_plain_letters(
    wire_to: Callable[[Domain], Wire], domain_with: DomainWith, local_part: str
) -> None:
    domain = domain_with(Behaviour.ORDINARY)

    with wire_to(domain) as wire:
        wire.say("EHLO client.test", "MAIL FROM:<> SMTPUTF8", f"RCPT TO:<{local_part}@{domain.name}>")

        reply = wire.replies(4)[-1]
        assert reply.startswith("550 ")
        assert reply.isascii()
