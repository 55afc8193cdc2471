"""The addresses of mail hosts: a loopback address each, or one address for all."""

from collections.abc import Iterable
from ipaddress import IPv4Address
from itertools import count

from sandbox.domains import Domain

WEB_ADDRESS = "127.53.255.254"
"""The address of all companies' web servers. Nothing listens there."""

_FIRST = IPv4Address("127.53.0.1")


def assign_addresses(domains: Iterable[Domain]) -> dict[str, str]:
    """Give each mail host, dead or alive, an address of 127.53.0.0/16 (Linux answers on all of 127.0.0.0/8)."""
    hosts = dict.fromkeys(host for domain in domains for host in domain.mail_hosts)
    return {host: str(_FIRST + offset) for host, offset in zip(hosts, count(), strict=False)}


def advertise_living_hosts(addresses: dict[str, str], domains: Iterable[Domain], advertised: str) -> dict[str, str]:
    """Replace the address of every host that accepts connections by one that other machines can reach."""
    living = {host for domain in domains for host in domain.living_hosts}
    return {host: advertised if host in living else address for host, address in addresses.items()}
