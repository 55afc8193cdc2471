"""The sandbox as its users run it, as a process and in a container, and the truth about its people."""

import csv
import gc
import json
import signal
import smtplib
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from sandbox.domains import Behaviour, Domain, invent_domains
from sandbox.internet import SHARED_HOST, Internet
from sandbox.patterns import likely_local_parts
from sandbox.people import Person, invent_people

ROOT = Path(__file__).parents[3]
SLOW_SECONDS = 0.25


@pytest.fixture(scope="module")
def domains() -> Sequence[Domain]:
    return invent_domains(seed=3)


@pytest.fixture(scope="module")
def people(domains: Sequence[Domain]) -> list[Person]:
    return invent_people(seed=3, count=300, domains=domains)


def look_up(dns_port: int, name: str, kind: str) -> tuple[int, list[str]]:
    """The response code, and the data of the records of this type."""
    query = dns.message.make_query(name, kind)
    response = dns.query.udp(query, "127.0.0.1", timeout=5, port=dns_port)
    wanted = dns.rdatatype.from_text(kind)
    return response.rcode(), [
        record.to_text() for rrset in response.answer if rrset.rdtype == wanted for record in rrset
    ]


@contextmanager
def connected(address: str, port: int) -> Iterator[smtplib.SMTP]:
    client = smtplib.SMTP(address, port, local_hostname="client.test", timeout=10)
    try:
        client.ehlo()
        yield client
    finally:
        client.close()


def probe_candidates(client: smtplib.SMTP, person: Person) -> dict[str, str]:
    """Return the server's reply for each address that may be this person's, each in a transaction of its own."""
    replies = {}
    for local_part in sorted(likely_local_parts(person.first_name, person.last_name)):
        address = f"{local_part}@{person.domain}"
        client.rset()
        client.mail("")
        code, text = client.rcpt(address)
        replies[address] = f"{code} {text.decode()}"
    return replies


def test_probing_every_likely_address_finds_exactly_the_findable_people(
    people: list[Person], domains: Sequence[Domain]
) -> None:
    revealing = {
        Behaviour.ORDINARY,
        Behaviour.NO_MX_BUT_ADDRESS,
        Behaviour.FIRST_MX_DEAD,
        Behaviour.ALIASED_MX,
        Behaviour.NO_PIPELINING,
    }
    hosts = {domain.name: domain.living_hosts[0] for domain in domains if domain.behaviour in revealing}

    with Internet(people, domains) as internet:
        for person in people:
            if person.domain in hosts:
                _, addresses = look_up(internet.dns_port, hosts[person.domain], "A")
                with connected(addresses[0], internet.smtp_port) as client:
                    replies = probe_candidates(client, person)
                exist = {address for address, reply in replies.items() if reply.startswith(("250", "452", "552"))}
                assert exist == ({person.email} if person.findable else set())
                if person.reason_not_found == "mailbox_disabled":
                    assert "5.2.1" in replies[str(person.email)]


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_stopping_the_sandbox_closes_open_connections(domains: Sequence[Domain]) -> None:
    domain = next(domain for domain in domains if domain.behaviour is Behaviour.SLOW)
    with Internet([], [domain], slow_seconds=60.0) as internet:
        over_smtp = socket.create_connection(("127.53.0.1", internet.smtp_port), timeout=10)
        while not internet.counts.hosts:
            time.sleep(0.001)

    with over_smtp:
        assert is_closed(over_smtp)
    gc.collect()  # an unclosed socket warns when it is collected, and a warning fails the test


def test_stopping_the_sandbox_closes_a_connection_made_at_the_last_moment(domains: Sequence[Domain]) -> None:
    for _ in range(50):
        with Internet([], domains) as internet:
            over_dns = socket.create_connection(("127.0.0.1", internet.dns_port), timeout=10)

        with over_dns:
            assert is_closed(over_dns)
    gc.collect()


def test_a_client_that_resets_its_connection_after_many_commands_does_no_harm(
    people: list[Person], domains: Sequence[Domain], caplog: pytest.LogCaptureFixture
) -> None:
    domain = next(domain for domain in domains if domain.behaviour is Behaviour.ORDINARY)
    with Internet(people, domains) as internet:
        address = look_up(internet.dns_port, domain.living_hosts[0], "A")[1][0]
        for _ in range(20):
            with socket.create_connection((address, internet.smtp_port), timeout=10) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with RST
                client.sendall(b"EHLO client.test\r\nMAIL FROM:<>\r\n" + b"RCPT TO:<x@y.test>\r\n" * 500)
        with connected(address, internet.smtp_port) as client:
            assert client.noop()[0] == 250
    gc.collect()

    assert caplog.records == []


def test_two_internets_run_side_by_side(people: list[Person], domains: Sequence[Domain]) -> None:
    with Internet(people, domains) as one, Internet(people, domains) as other:
        assert one.settings()["SMTP_PORT"] != other.settings()["SMTP_PORT"]
        assert one.dns_address != other.dns_address


def test_a_port_in_use_is_an_error(domains: Sequence[Domain]) -> None:
    with (
        Internet([], domains) as running,
        pytest.raises(OSError, match="address already in use"),
        Internet([], domains, dns_port=running.dns_port),
    ):
        pass


@pytest.mark.parametrize(("shared_address", "advertise"), [("127.0.0.1", None), (None, "127.0.0.1")])
def test_a_shared_address_needs_an_advertised_one_and_the_reverse(
    shared_address: str | None, advertise: str | None
) -> None:
    with pytest.raises(ValueError, match="or neither"):
        Internet([], [], shared_address=shared_address, advertise=advertise)


@pytest.fixture(scope="module")
def shared(people: list[Person], domains: Sequence[Domain]) -> Iterator[Internet]:
    with Internet(
        people,
        domains,
        greylist_seconds=0.0,
        slow_seconds=SLOW_SECONDS,
        shared_address="127.0.0.1",
        advertise="127.0.0.1",
    ) as internet:
        yield internet


def test_all_living_hosts_share_the_advertised_address_and_dead_ones_do_not(
    shared: Internet, domains: Sequence[Domain]
) -> None:
    for domain in domains:
        for host in domain.mail_hosts:
            address = look_up(shared.dns_port, host, "A")[1][0]
            assert (address == "127.0.0.1") == (host in domain.living_hosts), host


@pytest.mark.parametrize(
    ("behaviour", "codes"),
    [
        (Behaviour.ORDINARY, [550, 550]),
        (Behaviour.CATCH_ALL, [250, 250]),
        (Behaviour.REFUSING, [554, 554]),
        (Behaviour.REFUSING_AT_BANNER, [554, 554]),
        (Behaviour.GREYLISTING, [451, 550]),
        (Behaviour.SLOW, [550, 550]),
        (Behaviour.NO_PIPELINING, [550, 550]),
        (Behaviour.FIRST_MX_DEAD, [550, 550]),
    ],
)
def test_a_shared_host_behaves_like_the_recipients_domain(
    shared: Internet, domains: Sequence[Domain], behaviour: Behaviour, codes: list[int]
) -> None:
    domain = next(domain for domain in domains if domain.behaviour is behaviour)

    with connected("127.0.0.1", shared.smtp_port) as client:
        client.mail("")
        replied = [client.rcpt(f"unknown-{behaviour}@{domain.name}")[0] for _ in range(2)]

    assert replied == codes
    assert shared.counts.hosts[SHARED_HOST].connections >= 1


def test_a_shared_host_is_slow_for_recipients_of_slow_domains_only(shared: Internet, domains: Sequence[Domain]) -> None:
    seconds = {}

    with connected("127.0.0.1", shared.smtp_port) as client:
        client.mail("")
        for behaviour in (Behaviour.ORDINARY, Behaviour.SLOW):
            domain = next(domain for domain in domains if domain.behaviour is behaviour)
            started = time.monotonic()
            client.rcpt(f"postmaster@{domain.name}")
            seconds[behaviour] = time.monotonic() - started

    assert seconds[Behaviour.SLOW] >= SLOW_SECONDS > seconds[Behaviour.ORDINARY]


@contextmanager
def running_sandbox(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "sandbox", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_process_prints_its_settings_in_one_line_and_exits_with_0_on_a_signal(stop: signal.Signals) -> None:
    with running_sandbox("--seed", "5", "--people", "50") as process:
        assert process.stdout is not None
        settings = json.loads(process.stdout.readline())
        host, _, port = settings["DNS_RESOLVERS"].partition(":")
        domain = next(domain for domain in invent_domains(seed=5) if domain.behaviour is Behaviour.NULL_MX)
        answer = look_up(int(port), domain.name, "MX")

        process.send_signal(stop)
        out, err = process.communicate(timeout=10)

    assert settings.keys() == {"DNS_RESOLVERS", "SMTP_PORT", "SMTP_ALLOW_PRIVATE"}
    assert (host, answer) == ("127.0.0.1", (dns.rcode.NOERROR, ["0 ."]))
    assert (process.returncode, out, err) == (0, "", "")


def test_the_process_writes_exactly_the_requested_contacts_and_the_truth_about_them(tmp_path: Path) -> None:
    contacts, truth = tmp_path / "contacts.csv", tmp_path / "truth.csv"

    with running_sandbox("--exactly", "78,17,5", "--contacts", str(contacts), "--truth", str(truth)) as process:
        assert process.stdout is not None
        process.stdout.readline()

    with contacts.open(newline="", encoding="utf-8") as file:
        crm_ids = {row["crm_id"] for row in csv.DictReader(file)}
    with truth.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["crm_id"] for row in rows} == crm_ids
    assert [row["verdict"] for row in rows].count("valid") == 78
    assert [row["findable"] for row in rows].count("True") == 95
    assert len(crm_ids) == 100


def test_the_process_can_advertise_a_host_by_name() -> None:
    with running_sandbox("--people", "10", "--shared-address", "127.0.0.1", "--advertise", "localhost") as process:
        assert process.stdout is not None
        settings = json.loads(process.stdout.readline())

    assert settings["DNS_RESOLVERS"].startswith("127.0.0.1:")
