"""Turns the mail settings into the configuration of the mail network."""

import socket
from pathlib import Path

from pipeline.mail.config import MailNetworkConfig, RemoteVerifierConfig
from pipeline.mail.public_addresses import is_public
from pipeline.mail.replies.classify import RuleBook
from pipeline.mail.replies.rules import UnusableRulesError, load_rules
from pipeline.mail.smtp.egress import SocksProxy
from settings import Settings, UnusableSettings


def mail_network_config(settings: Settings) -> MailNetworkConfig:
    """Create the mail network's configuration. Host names of resolvers are looked up here, once."""
    return MailNetworkConfig(
        nameservers=nameservers_of(settings),
        smtp_port=settings.smtp_port,
        allow_private=settings.smtp_allow_private,
        helo_name=settings.smtp_helo_name or socket.getfqdn(),
        mail_from=settings.smtp_mail_from,
        command_timeout=settings.smtp_timeout_seconds,
        contact_timeout=settings.contact_timeout_seconds,
        defer_seconds=settings.defer_seconds,
        connections_per_host=settings.smtp_connections_per_host,
        reply_rules=_reply_rules(settings.reply_rules_file),
        ipv6=has_ipv6_route(),
        lists_dir=_lists_dir(settings.lists_dir),
        connections_per_provider=settings.smtp_connections_per_provider,
        recipients_per_second=settings.smtp_recipients_per_second,
        starttls=settings.smtp_starttls,
        source_ips=tuple(map(str, settings.smtp_source_ips)),
        proxies=tuple(SocksProxy.parse(url.get_secret_value()) for url in settings.smtp_proxies),
        verifier=_verifier(settings),
    )


def nameservers_of(settings: Settings) -> tuple[tuple[str, int], ...]:
    """The name servers of the settings; empty if those of the system are used. Their names are looked up here."""
    return tuple(_nameserver(text) for text in settings.dns_resolvers)


def check_files(settings: Settings) -> None:
    """Raise `UnusableSettings` if a file or a directory of the mail settings can't be used."""
    _reply_rules(settings.reply_rules_file)
    _lists_dir(settings.lists_dir)


def _verifier(settings: Settings) -> RemoteVerifierConfig | None:
    if not settings.verifier_url:
        return None
    name, _, value = settings.verifier_header.partition(":")
    return RemoteVerifierConfig(
        settings.verifier_url, (name, value.strip()) if name else None, settings.verifier_at_once
    )


def _reply_rules(file: Path | None) -> RuleBook | None:
    """Read the operator's rules. Raises `UnusableSettings`, which says what to correct."""
    if file is None:
        return None
    try:
        return RuleBook(load_rules(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise UnusableSettings(f"Setting REPLY_RULES_FILE is not usable: {file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UnusableSettings(f"Setting REPLY_RULES_FILE is not usable: {file} is not UTF-8.") from error
    except UnusableRulesError as error:
        raise UnusableSettings(f"Setting REPLY_RULES_FILE is not usable: {error}") from error


def _lists_dir(directory: Path | None) -> Path | None:
    if directory is not None and not directory.is_dir():
        raise UnusableSettings(f"Setting LISTS_DIR is not usable: there is no directory {directory}.")
    return directory


def has_ipv6_route() -> bool:
    """Whether this machine can connect from a public IPv6 address. Nothing is sent to find out."""
    if not socket.has_ipv6:
        return False
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1", 9))  # a documentation address (RFC 3849): only a default route leads to it
        except OSError:
            return False
        return is_public(probe.getsockname()[0])


def _nameserver(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "53")
    return socket.gethostbyname(host), int(port)
