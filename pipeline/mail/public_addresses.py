"""Decides which IP addresses may be contacted: global unicast ones only, whatever a domain's DNS records say.

Python's `is_global` changes between patch releases, and accepts addresses that have another address embedded.
"""

import ipaddress

_NOT_PUBLIC_IPV4 = (
    # IANA IPv4 Special-Purpose Address Registry. Anycast services (192.0.0.9/32, AS112, AMT) are no mail hosts either.
    "0.0.0.0/8",  # this network (RFC 791)
    "10.0.0.0/8",  # private use (RFC 1918)
    "100.64.0.0/10",  # shared address space of carriers (RFC 6598)
    "127.0.0.0/8",  # loopback (RFC 1122)
    "169.254.0.0/16",  # link-local (RFC 3927)
    "172.16.0.0/12",  # private use (RFC 1918)
    "192.0.0.0/24",  # IETF protocol assignments (RFC 6890)
    "192.0.2.0/24",  # documentation (RFC 5737)
    "192.31.196.0/24",  # AS112 (RFC 7535)
    "192.52.193.0/24",  # AMT (RFC 7450)
    "192.88.99.0/24",  # 6to4 relays, deprecated (RFC 7526)
    "192.168.0.0/16",  # private use (RFC 1918)
    "192.175.48.0/24",  # AS112 (RFC 7534)
    "198.18.0.0/15",  # benchmarking (RFC 2544)
    "198.51.100.0/24",  # documentation (RFC 5737)
    "203.0.113.0/24",  # documentation (RFC 5737)
    "224.0.0.0/4",  # multicast (RFC 5771)
    "240.0.0.0/4",  # reserved (RFC 1112), limited broadcast (RFC 8190)
)
_UNICAST_IPV6 = "2000::/3"
"""All that IANA assigns (Internet Protocol Version 6 Address Space). Outside are loopback, IPv4-mapped addresses
(::ffff:0:0/96) and IPv4-compatible ones (::/96), NAT64 (64:ff9b::/96, 64:ff9b:1::/48), discard-only (100::/64), segment
routing (5f00::/16), unique local (fc00::/7), link-local (fe80::/10), site-local (fec0::/10), multicast (ff00::/8)."""
_NOT_PUBLIC_IPV6 = (
    # Within 2000::/3: IANA IPv6 Special-Purpose Address Registry, and prefixes that were returned.
    "2001::/23",  # IETF protocol assignments (RFC 2928): Teredo, benchmarking, AMT, AS112, ORCHID, drone tags
    "2001:db8::/32",  # documentation (RFC 3849)
    "2002::/16",  # 6to4 (RFC 3056): embeds an IPv4 address
    "2620:4f:8000::/48",  # AS112 (RFC 7534)
    "3ffe::/16",  # 6bone, returned (RFC 3701)
    "3fff::/20",  # documentation (RFC 9637)
)
_ISATAP = (0x00005EFE, 0x02005EFE)
"""How an interface identifier begins that embeds an IPv4 address (RFC 5214 6.1)."""

_PUBLIC_IPV6 = ipaddress.IPv6Network(_UNICAST_IPV6)
_EXCEPT_IPV4 = tuple(map(ipaddress.IPv4Network, _NOT_PUBLIC_IPV4))
_EXCEPT_IPV6 = tuple(map(ipaddress.IPv6Network, _NOT_PUBLIC_IPV6))


def is_public(text: str) -> bool:
    """Say whether an IP address is a global unicast one that embeds no other address. Raises ValueError."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _EXCEPT_IPV4)
    if address.scope_id is not None or address not in _PUBLIC_IPV6:
        return False
    return (int(address) >> 32) & 0xFFFFFFFF not in _ISATAP and not any(address in each for each in _EXCEPT_IPV6)
