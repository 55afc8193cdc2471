"""How to reach the world's DNS and mail servers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MailNetworkConfig:
    """How to reach the world's DNS and mail servers. Times are in seconds.

    `nameservers` are (IP address, port) pairs; none means the system's own. Mail hosts on loopback, private
    or otherwise reserved addresses are never contacted unless `allow_private` is set. `record_timeout` is the
    work on one record, waiting for a connection slot not counted. `conversations` limits the connections, and
    the domains of a batch in work, in all.
    """

    nameservers: tuple[tuple[str, int], ...] = ()
    smtp_port: int = 25
    allow_private: bool = False
    helo_name: str = "localhost"
    mail_from: str = ""
    connect_timeout: float = 10.0
    command_timeout: float = 20.0
    record_timeout: float = 60.0
    dns_timeout: float = 5.0
    connections_per_host: int = 4
    conversations: int = 400
    recipients_per_session: int = 50
