"""Postfix and Postgrey from Debian's packages: mail servers that are not our own code, each on a loopback address."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.mail_servers.processes import running

POSTFIX, POSTGREY = shutil.which("postfix"), shutil.which("postgrey")
CAN_RUN = bool(POSTFIX and POSTGREY) and os.geteuid() == 0
CAN_NOT_RUN = "needs root, and Debian's packages postfix and postgrey"

MASTER = """\
{ip}:{port} inet n - n - - smtpd
anvil     unix - - n - 1 anvil
rewrite   unix - - n - - trivial-rewrite
proxymap  unix - - n - - proxymap
cleanup   unix n - n - 0 cleanup
tlsmgr    unix - - n 1000? 1 tlsmgr
postlog   unix-dgram n - n - 1 postlogd
"""

MAIN = """\
compatibility_level = 3.6
myhostname = {name}
mydestination =
local_recipient_maps =
inet_protocols = ipv4
mynetworks = 192.0.2.0/24
queue_directory = {home}/queue
data_directory = {home}/data
maillog_file = /dev/stdout
virtual_mailbox_domains = {domains}
virtual_mailbox_maps = texthash:{home}/mailboxes
smtpd_peername_lookup = no
smtpd_client_event_limit_exceptions =
smtpd_recipient_restrictions = reject_unauth_destination, check_recipient_access texthash:{home}/access
"""


@dataclass(frozen=True, slots=True)
class Host:
    """One Postfix: the domains that it accepts mail for, its mailboxes, recipients with special replies, settings."""

    ip: str
    domains: Sequence[str]
    mailboxes: Sequence[str]
    access: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def running_postfix(home: Path, host: Host, port: int) -> Iterator[None]:
    """A Postfix that answers until the block ends."""
    # Postfix drops root's rights, and must still have access to its directories.
    home.mkdir(mode=0o755)
    for directory in ("queue", "data"):
        (home / directory).mkdir()
    shutil.chown(home / "data", "postfix")
    name = f"mx.{host.domains[0]}"
    main = MAIN.format(name=name, home=home, domains=" ".join(host.domains))
    settings = "".join(f"{key} = {value}\n" for key, value in host.settings.items())
    (home / "main.cf").write_text(main + settings)
    (home / "master.cf").write_text(MASTER.format(ip=host.ip, port=port))
    (home / "mailboxes").write_text("".join(f"{mailbox} here\n" for mailbox in host.mailboxes))
    (home / "access").write_text("".join(f"{recipient} {reply}\n" for recipient, reply in host.access.items()))
    with running(["postfix", "-c", str(home), "start-fg"], home / "log", (host.ip, port)):
        yield


@contextmanager
def running_postgrey(home: Path, ip: str, port: int, delay_seconds: int) -> Iterator[None]:
    """A greylisting policy server: it accepts a recipient that is tried again after the delay."""
    home.mkdir(mode=0o755)
    shutil.chown(home, "postgrey")
    # Without its lists, which would let known clients pass and look up our name in the DNS.
    (home / "empty").touch()
    command = [
        *("postgrey", f"--inet={ip}:{port}", f"--delay={delay_seconds}", f"--dbdir={home}", "--user=postgrey"),
        *(f"--whitelist-clients={home}/empty", f"--whitelist-recipients={home}/empty", "--auto-whitelist-clients=0"),
    ]
    with running(command, home / "log", (ip, port)):
        yield
