"""How to reach the world's DNS and mail servers."""

import math
from dataclasses import dataclass
from pathlib import Path

from pipeline.mail.replies.classify import RuleBook
from pipeline.mail.smtp.egress import SocksProxy


@dataclass(frozen=True, slots=True)
class RemoteVerifierConfig:
    """Where the verifier is and how it is asked: `header` is a (name, value) pair, such as the key to it."""

    url: str
    header: tuple[str, str] | None = None
    at_once: int = 10


@dataclass(frozen=True, slots=True)
class MailNetworkConfig:
    """How to reach the world's DNS and mail servers. Times are in seconds.

    `nameservers` are (IP address, port) pairs; none means the system's own. Mail hosts on loopback, private
    or otherwise reserved addresses are never contacted unless `allow_private` is set. `contact_timeout` is the
    work on one contact, waiting for a connection slot not counted. `conversations` limits the connections, and
    the domains of a batch in work, in all; `recipients_per_second` what one host is asked about, on average
    (`pipeline.mail.pacing.slots`). After `refusals_per_session` refused recipients a new session is begun: after the
    tenth error Postfix sends each reply a second late, QUIT's among them, and it ends the session after the twentieth
    (postconf(5), `smtpd_soft_error_limit` 10, `smtpd_hard_error_limit` 20). `defer_seconds` is how long a contact waits
    the first, the second, ... time that a server asks us to come back later and does not say when; its length is how
    often that may happen. `reply_rules` holds the operator's own rules of what replies mean (None: the standard ones
    alone). `ipv6` says that this machine reaches IPv6 addresses. `lists_dir` holds the operator's own lists of domains
    and local parts (`pipeline.mail.address.lists`). `starttls` has sessions encrypted where servers offer that.
    Connections leave from `source_ips`, addresses of this machine, and through `proxies` (`pipeline.mail.smtp.egress`);
    none of both means the machine's default address.
    With a `verifier` that one is asked, and no mail host.
    """

    nameservers: tuple[tuple[str, int], ...] = ()
    smtp_port: int = 25
    allow_private: bool = False
    helo_name: str = "localhost"
    mail_from: str = ""
    connect_timeout: float = 10.0
    command_timeout: float = 20.0
    contact_timeout: float = 60.0
    dns_timeout: float = 5.0
    connections_per_host: int = 4
    connections_per_provider: int = 400
    recipients_per_second: float = math.inf
    conversations: int = 400
    recipients_per_session: int = 50
    refusals_per_session: int = 9
    defer_seconds: tuple[float, ...] = (300.0, 900.0)
    reply_rules: RuleBook | None = None
    ipv6: bool = False
    lists_dir: Path | None = None
    starttls: bool = True
    source_ips: tuple[str, ...] = ()
    proxies: tuple[SocksProxy, ...] = ()
    verifier: RemoteVerifierConfig | None = None

    @property
    def fair_trial(self) -> float:
        """Seconds of silence that tell of a mail host, and not only of how little time a contact had left for it."""
        return min(self.connect_timeout, self.command_timeout, self.contact_timeout) / 2
