"""Only global unicast addresses are contacted: one table, the same on every Python."""

import pytest

from pipeline.mail.public_addresses import is_public

PUBLIC = ["1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0", "192.0.1.0",
          "192.88.98.255", "192.88.100.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2001:200::1",
          "2001:4860:4860::8888", "2003::1", "2a00::1", "2600::5eff:0:1"]  # fmt: skip
NOT_PUBLIC = {
    "this network": ["0.0.0.0", "0.255.255.255"],  # noqa: S104
    "private": ["10.0.0.1", "172.16.0.0", "172.31.255.255", "192.168.255.255", "fc00::1", "fdff::1"],
    "a carrier's own": ["100.64.0.0", "100.127.255.255"],
    "loopback": ["127.0.0.1", "127.255.255.255", "::1"],
    "link-local": ["169.254.0.1", "fe80::1", "febf::1"],
    "IETF protocol assignments": ["192.0.0.0", "192.0.0.9", "192.0.0.170", "2001::1", "2001:1::1", "2001:1ff::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1", "3fff:fff::1"],
    "benchmarking": ["198.18.0.0", "198.19.255.255", "2001:2::1"],
    "AS112 and AMT": ["192.31.196.1", "192.52.193.1", "192.175.48.1", "2001:3::1", "2001:4:112::1", "2620:4f:8000::1"],
    "6to4 relays": ["192.88.99.0", "192.88.99.255"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff00::1", "ff0e::1"],
    "reserved": ["240.0.0.0", "255.255.255.254", "4000::1", "8000::1", "1fff::1", "::"],
    "broadcast": ["255.255.255.255"],
    "IPv4-mapped": ["::ffff:10.0.0.1", "::ffff:8.8.8.8"],
    "IPv4-compatible": ["::10.0.0.1", "::8.8.8.8"],
    "IPv4-translated": ["::ffff:0:8.8.8.8"],
    "NAT64": ["64:ff9b::10.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::8.8.8.8", "64:ff9b:1:ffff::1"],
    "6to4": ["2002::1", "2002:0a00:0001::1", "2002:808:808::1"],
    "Teredo": ["2001::8.8.8.8", "2001:0:ffff::1"],
    "ISATAP": ["2600::5efe:10.0.0.1", "2600::200:5efe:8.8.8.8"],
    "ORCHID and drone tags": ["2001:10::1", "2001:2f::1", "2001:30::1"],
    "discard-only and dummy": ["100::1", "100:0:0:1::1"],
    "segment routing": ["5f00::1"],
    "site-local": ["fec0::1", "feff::1"],
    "6bone": ["3ffe::1"],
    "an address with a zone": ["2600::1%eth0", "fe80::1%1"],
}  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_global_unicast_addresses_are_contacted(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(("kind", "addresses"), NOT_PUBLIC.items(), ids=NOT_PUBLIC.keys())
def test_no_other_address_is_contacted(kind: str, addresses: list[str]) -> None:
    assert [address for address in addresses if is_public(address)] == []
