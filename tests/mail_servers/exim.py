"""Exim from Debian's packages: a mail server that is not our own code, with behaviours written as its ACLs.

Its packages can't be installed beside Postfix's. So they are unpacked into a directory of their own, which
`GROWTH_EXIM` names (`.ci/run` does it).
"""

import os
import pwd
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.mail_servers.processes import running

UNPACKED = Path(os.environ.get("GROWTH_EXIM", "/opt/growth-exim"))
EXIM = shutil.which("exim4") or shutil.which("exim4", path=str(UNPACKED / "usr" / "sbin"))
USER = "Debian-exim"
CAN_NOT_RUN = "needs root, the user Debian-exim, and Debian's package exim4-daemon-light, installed or unpacked"

CONFIGURATION = """\
primary_hostname = {name}
exim_user = {user}
exim_group = {user}
spool_directory = {home}/spool
log_file_path = {home}/%slog
pid_file_path = {home}/pid
keep_environment =
local_interfaces = {ip}
daemon_smtp_ports = {port}
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_connect = connect
acl_smtp_helo = helo
acl_smtp_mail = mail
acl_smtp_rcpt = rcpt
{settings}
domainlist local_domains = {domains}

begin acl
connect:
{connect}
  accept
helo:
{helo}
  accept
mail:
{mail}
  accept
rcpt:
  require message = relay not permitted
          domains = +local_domains
{rcpt}
  require verify = recipient
  accept

begin routers
mailboxes:
  driver = accept
  domains = +local_domains
  condition = ${{lookup{{$local_part@$domain}}lsearch{{{home}/mailboxes}}{{yes}}{{no}}}}
  transport = nowhere

begin transports
nowhere:
  driver = appendfile
  file = /dev/null
"""


@dataclass(frozen=True, slots=True)
class EximHost:
    """One Exim: the domains that it accepts mail for, its mailboxes, settings, and the first statements of its ACLs."""

    ip: str
    domains: Sequence[str]
    mailboxes: Sequence[str]
    settings: Mapping[str, str] = field(default_factory=dict)
    connect: str = ""
    helo: str = ""
    mail: str = ""
    rcpt: str = ""


def can_run() -> bool:
    """Whether Exim is installed and this process may start it."""
    return bool(EXIM) and os.geteuid() == 0 and any(user.pw_name == USER for user in pwd.getpwall())


@contextmanager
def running_exim(home: Path, host: EximHost, port: int) -> Iterator[None]:
    """An Exim that answers until the block ends."""
    assert EXIM is not None
    home.mkdir(mode=0o755)
    shutil.chown(home, USER, USER)
    (home / "mailboxes").write_text("".join(f"{mailbox}: here\n" for mailbox in host.mailboxes))
    configuration = CONFIGURATION.format(
        name=f"mx.{host.domains[0]}",
        user=USER,
        home=home,
        ip=host.ip,
        port=port,
        connect=host.connect,
        helo=host.helo,
        mail=host.mail,
        rcpt=host.rcpt,
        domains=" : ".join(host.domains),
        settings="\n".join(f"{key} = {value}" for key, value in host.settings.items()),
    )
    (home / "exim.conf").write_text(configuration)
    libraries = ":".join(str(path) for path in (UNPACKED / "usr" / "lib").glob("*-linux-gnu"))
    command = ["env", f"LD_LIBRARY_PATH={libraries}", EXIM, "-C", str(home / "exim.conf"), "-bdf"]
    with running(command, home / "log", (host.ip, port)):
        yield
