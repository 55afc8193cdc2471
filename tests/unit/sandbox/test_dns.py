import socket
from collections.abc import Callable

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.counts import Tally
from sandbox.dns_server import Answerer
from sandbox.dns_zone import Zone
from sandbox.domains import Behaviour, Domain
from sandbox.internet import Internet

DomainWith = Callable[[Behaviour], Domain]


def ask(internet: Internet, name: str, kind: str) -> dns.message.Message:
    return dns.query.udp(dns.message.make_query(name, kind), "127.0.0.1", timeout=5, port=internet.dns_port)


def exchanges(resolver: dns.resolver.Resolver, name: str) -> list[tuple[int, str]]:
    return [(record.preference, record.exchange.to_text()) for record in resolver.resolve(name, "MX")]


def test_an_ordinary_domain_has_mail_hosts_with_addresses_of_their_own(
    resolver: dns.resolver.Resolver, domain_with: DomainWith, address_of: Callable[[str], str]
) -> None:
    domain = domain_with(Behaviour.ORDINARY)

    assert exchanges(resolver, domain.name) == [
        (10 * position, f"{host}.") for position, host in enumerate(domain.mail_hosts, start=1)
    ]
    assert all(address_of(host).startswith("127.53.") for host in domain.mail_hosts)


def test_hosts_without_an_ipv6_address_answer_with_no_data_and_an_soa(
    internet: Internet, domain_with: DomainWith
) -> None:
    domain = domain_with(Behaviour.ORDINARY)

    response = ask(internet, domain.name, "AAAA")

    assert response.rcode() == dns.rcode.NOERROR
    assert not response.answer
    assert [rrset.rdtype for rrset in response.authority] == [dns.rdatatype.SOA]
    assert response.authority[0].name.to_text() == f"{domain.name}."


def test_a_domain_with_an_implicit_mx_has_only_an_address(
    internet: Internet, domain_with: DomainWith, address_of: Callable[[str], str]
) -> None:
    domain = domain_with(Behaviour.NO_MX_BUT_ADDRESS)

    assert not ask(internet, domain.name, "MX").answer
    assert address_of(domain.name).startswith("127.53.")


@pytest.mark.parametrize("kind", ["MX", "A", "AAAA"])
def test_a_domain_without_mail_server_exists_and_has_nothing(
    internet: Internet, domain_with: DomainWith, kind: str
) -> None:
    response = ask(internet, domain_with(Behaviour.NO_MAIL_SERVER).name, kind)

    assert (response.rcode(), response.answer) == (dns.rcode.NOERROR, [])


@pytest.mark.parametrize("kind", ["MX", "A", "TXT"])
def test_a_domain_that_does_not_exist_is_nxdomain_for_every_type(
    internet: Internet, domain_with: DomainWith, kind: str
) -> None:
    response = ask(internet, domain_with(Behaviour.NO_SUCH_DOMAIN).name, kind)

    assert response.rcode() == dns.rcode.NXDOMAIN
    assert response.authority[0].rdtype == dns.rdatatype.SOA


@pytest.mark.parametrize("name", ["elsewhere.test", "www.elsewhere.invalid", "7.0.53.127.in-addr.arpa", "com"])
def test_whatever_lies_outside_the_sandbox_is_nxdomain(internet: Internet, name: str) -> None:
    assert ask(internet, name, "A").rcode() == dns.rcode.NXDOMAIN


def test_a_null_mx_is_one_root_with_preference_zero_beside_a_web_servers_address(
    resolver: dns.resolver.Resolver, domain_with: DomainWith, address_of: Callable[[str], str]
) -> None:
    domain = domain_with(Behaviour.NULL_MX)

    assert exchanges(resolver, domain.name) == [(0, ".")]
    assert address_of(domain.name)


@pytest.mark.parametrize("prefix", ["", "mail."])
def test_a_broken_domain_is_servfail_for_itself_and_all_below(
    internet: Internet, domain_with: DomainWith, prefix: str
) -> None:
    name = prefix + domain_with(Behaviour.DNS_SERVFAIL).name

    assert ask(internet, name, "MX").rcode() == dns.rcode.SERVFAIL


def test_an_alias_comes_with_the_address_it_points_to(internet: Internet, domain_with: DomainWith) -> None:
    host = domain_with(Behaviour.ALIASED_MX).mail_hosts[0]

    response = ask(internet, host, "A")

    assert [rrset.rdtype for rrset in response.answer] == [dns.rdatatype.CNAME, dns.rdatatype.A]


def test_names_are_compared_without_regard_to_case_and_come_back_as_asked(
    internet: Internet, domain_with: DomainWith
) -> None:
    name = domain_with(Behaviour.ORDINARY).name.upper()

    response = ask(internet, name, "MX")

    assert response.answer
    assert response.question[0].name.to_text() == f"{name}."


@pytest.mark.parametrize("kind", ["SOA", "NS", "TXT"])
def test_a_domain_has_the_records_that_every_domain_has(internet: Internet, domain_with: DomainWith, kind: str) -> None:
    assert ask(internet, domain_with(Behaviour.ORDINARY).name, kind).answer


def test_tcp_answers_as_udp_does_any_number_of_times_a_connection(internet: Internet, domain_with: DomainWith) -> None:
    query = dns.message.make_query(domain_with(Behaviour.FIRST_MX_DEAD).name, "MX")

    with socket.create_connection(("127.0.0.1", internet.dns_port)) as connection:
        connection.settimeout(0)
        over_tcp = [
            dns.query.tcp(query, "127.0.0.1", timeout=5, port=internet.dns_port, sock=connection) for _ in range(3)
        ]

    over_udp = dns.query.udp(query, "127.0.0.1", timeout=5, port=internet.dns_port)
    assert over_tcp == [over_udp] * 3
    assert len(over_udp.answer[0]) == 2


def test_a_query_that_cannot_be_read_is_answered_with_formerr(internet: Internet) -> None:
    garbage = b"\xab\xcd" + b"\x01\x00" + b"\x00\x01" + b"\x00\x00" * 3 + b"\x3fshort"

    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(garbage, ("127.0.0.1", internet.dns_port))
        response = dns.message.from_wire(client.recv(512))

    assert (response.id, response.rcode()) == (0xABCD, dns.rcode.FORMERR)
    assert response.flags & dns.flags.QR


def test_a_response_is_not_answered() -> None:
    answerer = Answerer(Zone(), Tally())
    response = answerer.respond(dns.message.make_query("elsewhere.test", "A").to_wire())

    assert response is not None
    assert answerer.respond(response) is None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=80))
def test_no_octets_break_the_name_server(octets: bytes) -> None:
    response = Answerer(Zone(), Tally()).respond(octets)

    assert response is None or response[:2] == octets[:2]
