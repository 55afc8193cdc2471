"""Which URLs a hook can have. Where its name leads is checked at each connection, by `worker.hooks.addresses`."""

import re

from models.bounds import HOOK_URL
from pipeline.errors import InvalidInput
from pipeline.mail.public_addresses import is_public

PORTS = range(1, 65_536)
LONGEST_NAME = 253
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
OWN_INSTALLATION = "; on an installation of your own HOOK_ALLOW_PRIVATE=true permits this one"


def usable_url(text: str, *, allow_private: bool) -> str:
    """The URL as it is stored. Raises `InvalidInput`, which says what to change, and never shows the URL.

    With `allow_private` it may be on loopback and in private networks, and without TLS.
    """
    # Parsed by the library that sends. It is loaded when a hook is added, which the API's memory is spared until then.
    import httpx

    try:
        url = httpx.URL(text.strip())
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError):
        raise _unusable("it is no URL: give one such as https://app.example/growth") from None
    if url.scheme != "https" and not (allow_private and url.scheme == "http"):
        raise _unusable(f"it must begin with https://{OWN_INSTALLATION if url.scheme == 'http' else ''}")
    if not host:
        raise _unusable("it has no host: give one such as https://app.example/growth")
    if not _is_address(host) and not _is_name(host.lower()):
        raise _unusable("its host is no name and no address: give one such as https://app.example/growth")
    if url.port is not None and url.port not in PORTS:
        raise _unusable(f"its port must be from {PORTS.start} to {PORTS.stop - 1}")
    if url.userinfo:
        raise _unusable("it has a user name or a password: messages are signed, so leave them out")
    if url.fragment:
        raise _unusable("it has a fragment, which is never sent: leave out what follows #")
    if not allow_private and not _may_be_public(host):
        raise _unusable(f"its address is not public: give one that the internet reaches{OWN_INSTALLATION}")
    stored = str(url)
    if len(stored) > HOOK_URL.most:
        raise _unusable(f"it has more than {HOOK_URL.most} characters: shorten it")
    return stored


def _may_be_public(host: str) -> bool:
    """Whether the host is a public address, or a name, which may lead to one."""
    if _is_address(host):
        return is_public(host)
    # RFC 6761: each name below it is this machine, too.
    return host.rstrip(".").lower().rpartition(".")[2] != "localhost"


def _is_address(host: str) -> bool:
    try:
        is_public(host)
    except ValueError:
        return False
    return True


def _is_name(host: str) -> bool:
    """Whether DNS may know it. A last label of digits only makes it half an IPv4 address."""
    labels = host.removesuffix(".").split(".")
    has_room = len(host) <= LONGEST_NAME + 1
    return has_room and all(map(LABEL.fullmatch, labels)) and not labels[-1].isdecimal()


def _unusable(why: str) -> InvalidInput:
    return InvalidInput(f"field url: {why}")
