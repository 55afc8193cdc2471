"""`growth doctor`: what is reachable, what is not, and what to do."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis
from dns.resolver import NoResolverConfiguration
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from cli.client import ApiClient, ApiError, find_credentials
from models.database import open_database
from models.migrate import is_migrated
from models.settings import Settings, load_settings
from pipeline.errors import SourcesMisconfigured
from pipeline.mail.answer import Answer
from pipeline.mail.meanings import Meaning
from pipeline.mail.network import MailNetwork
from pipeline.mail.syntax import normalise_domain
from pipeline.outcomes import REASON_SENTENCES, Reason
from worker.process import mail_network_config
from worker.sources import open_sources

TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    is_fine: bool
    says: str


def print_diagnosis(console: Console, home: Path, mail_domain: str | None) -> bool:
    """Print every finding; whether all is fine."""
    findings = list(diagnose(load_settings(), home, mail_domain))
    for finding in findings:
        mark = "[green]ok[/green]  " if finding.is_fine else "[red]no[/red]  "
        console.print(f"{mark} {finding.what}: {finding.says}", soft_wrap=True, highlight=False)
    return all(finding.is_fine for finding in findings)


def diagnose(settings: Settings, home: Path, mail_domain: str | None) -> Iterator[Finding]:
    """Look at Postgres, Redis, the broker, export storage, the API, DNS and the way out to mail servers."""
    yield _postgres(settings)
    yield _redis("Redis", settings.redis_url, "REDIS_URL")
    yield _redis("Broker", settings.celery_broker_url, "BROKER_URL")
    yield _export_dir(settings)
    yield from _sources(settings)
    yield _api(home)
    if mail_domain:
        yield from asyncio.run(_mail(settings, mail_domain))
    else:
        yield _fine("Mail", "DNS and SMTP were not tried: give --mail-domain with a domain of your own.")


def _postgres(settings: Settings) -> Finding:
    if not settings.database_url:
        return _fine("Postgres", "DATABASE_URL is not set; `growth up` uses an embedded server.")
    database = open_database(settings.database_url, pool_size=1)
    try:
        if is_migrated(database):
            return _fine("Postgres", "reachable, with the schema of this version.")
        return _wrong("Postgres", "reachable, but its schema is not this version's: run `growth migrate`.")
    except SQLAlchemyError as error:
        return _wrong("Postgres", f"not reachable ({type(error).__name__}): check DATABASE_URL and the server.")
    finally:
        database.close()


def _redis(what: str, url: str, variable: str) -> Finding:
    if not url:
        return _fine(what, f"{variable} is not set; `growth up` uses an embedded server.")
    if not url.startswith(("redis", "unix")):
        return _fine(what, "not a Redis URL; Celery checks it when it starts.")
    client = redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
    try:
        client.ping()
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy", "noeviction")
    except redis.RedisError as error:
        return _wrong(what, f"not reachable ({type(error).__name__}): check {variable} and the server.")
    finally:
        client.close()
    if policy != "noeviction":
        return _wrong(what, f"evicts keys ({policy}): set maxmemory-policy to noeviction, or queues get lost.")
    return _fine(what, "reachable.")


def _export_dir(settings: Settings) -> Finding:
    probe = settings.export_dir / ".doctor"
    try:
        settings.export_dir.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return _wrong("Exports", f"EXPORT_DIR can't be written ({error.strerror}): choose another, or its owner.")
    return _fine("Exports", f"{settings.export_dir} can be written.")


def _sources(settings: Settings) -> Iterator[Finding]:
    """What beyond mail servers will be asked; nothing is, if no file of it is set."""
    if not (settings.providers_file or settings.people_file or settings.companies_file):
        return
    try:
        steps = open_sources(settings).sources.steps
    except SourcesMisconfigured as error:
        yield _wrong("Sources", str(error))
    else:
        yield _fine(
            "Sources", f"asked after mail servers, in this order: {', '.join(s.name for s in steps) or 'none'}."
        )


def _api(home: Path) -> Finding:
    try:
        credentials = find_credentials(home)
        with ApiClient(credentials) as client:
            client.check_access()
    except ApiError as error:
        return _wrong("API", str(error))
    return _fine("API", f"{credentials.api_url} takes the key.")


async def _mail(settings: Settings, text: str) -> list[Finding]:
    """Ask the DNS for a domain's mail servers, and one of them about its postmaster (RFC 5321 4.5.1)."""
    domain = normalise_domain(text)
    if domain is None:
        return [_wrong("DNS", "--mail-domain is not a domain name.")]
    try:
        network = MailNetwork(mail_network_config(settings))
    except (OSError, NoResolverConfiguration) as error:
        return [_wrong("DNS", f"no resolver can be used ({type(error).__name__}): set DNS_RESOLVERS.")]
    try:
        route = await network.route(domain)
        if route.problem is Reason.DNS_FAILURE:
            return [_wrong("DNS", "the resolvers do not answer: check DNS_RESOLVERS and the firewall.")]
        if route.problem is Reason.UNUSABLE_MAIL_HOST:
            return [
                _fine("DNS", "answers."),
                _wrong("SMTP", f"{domain}'s mail servers are private: set SMTP_ALLOW_PRIVATE."),
            ]
        if route.problem is not None:
            return [_fine("DNS", "answers."), _wrong("SMTP", REASON_SENTENCES[route.problem])]
        async with network.conversation(route) as conversation:
            (answer,) = (await conversation.ask([f"postmaster@{domain}"])).values()
        return [_fine("DNS", f"{domain} takes mail at {route.hosts[0].name}."), _smtp(settings, answer)]
    finally:
        await network.close()


def _smtp(settings: Settings, answer: Answer) -> Finding:
    if answer.code == 0:
        return _wrong(
            "SMTP",
            f"{answer.mail_host} does not answer on port {settings.smtp_port}: most clouds and homes block port 25 "
            "going out; ask your provider, or run the workers elsewhere.",
        )
    if answer.meaning is Meaning.BLOCKED:
        return _wrong(
            "SMTP", f"{answer.mail_host} refuses our address ({answer.code}): check reverse DNS and blocklists."
        )
    advice = (
        "" if "." in settings.smtp_helo_name else " Real servers want SMTP_HELO_NAME to be your host's public name."
    )
    return _fine("SMTP", f"{answer.mail_host} answers on port {settings.smtp_port} ({answer.code}).{advice}")


def _fine(what: str, says: str) -> Finding:
    return Finding(what, is_fine=True, says=says)


def _wrong(what: str, says: str) -> Finding:
    return Finding(what, is_fine=False, says=says)
