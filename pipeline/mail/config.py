"""Configuration of DNS, SMTP and the remote verifier."""

import math
from dataclasses import dataclass
from pathlib import Path

from pipeline.mail.replies.classify import RuleBook
from pipeline.mail.smtp.egress import SocksProxy


@dataclass(frozen=True, slots=True)
class RemoteVerifierConfig:
    """The URL of the remote verifier, and a (name, value) pair to send as a header, such as an API key."""

    url: str
    header: tuple[str, str] | None = None
    at_once: int = 10


@dataclass(frozen=True, slots=True)
class MailNetworkConfig:
    """How to reach DNS and mail servers. Times are in seconds.

    `nameservers` are (IP address, port) pairs; if empty, the system's are used. Mail hosts on loopback, private or
    otherwise reserved addresses are contacted only with `allow_private`. `contact_timeout` limits the work on one
    contact, not counting waits for a connection slot. `conversations` limits the connections of the process, and the
    domains of a batch that are worked on at the same time. `recipients_per_second` limits the average number of probes
    at one host (`pipeline.mail.pacing.slots`).

    After `refusals_per_session` refused recipients a new session is opened: after the tenth error Postfix delays each
    reply by a second, that to QUIT included, and after the twentieth it ends the session (postconf(5),
    `smtpd_soft_error_limit` 10, `smtpd_hard_error_limit` 20). `defer_seconds` is how long a contact is deferred the
    first, the second, ... time if a server does not say how long; its length is how often a contact may be deferred.

    `reply_rules` are the operator's rules for the meaning of replies, tried before the standard ones. `ipv6` means that
    this machine reaches IPv6 addresses. `lists_dir` holds the operator's lists (`pipeline.mail.address.lists`). With
    `starttls`, sessions are encrypted where servers offer it. Connections leave from `source_ips` of this machine and
    through `proxies` (`pipeline.mail.smtp.egress`); if both are empty, from the machine's default address. With a
    `verifier`, probes go to that service instead of to mail hosts.
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
        """Seconds without a reply that count against a host; less may be due to the contact's own time limit."""
        return min(self.connect_timeout, self.command_timeout, self.contact_timeout) / 2
