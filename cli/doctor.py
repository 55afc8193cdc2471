"""`growth doctor`: what is reachable, what is not, and what to do."""

from collections.abc import Iterator
from pathlib import Path

import redis
from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import DBAPIError

from cli.client import ApiClient, ApiError, find_credentials
from cli.database import sentence_of
from cli.doctor_mail import look_at_mail
from cli.finding import Finding, fine, wrong
from models.database import open_database
from models.migrate import is_migrated
from models.postgres_errors import PostgresUnavailable
from models.settings import Settings, load_settings
from pipeline.errors import SourcesMisconfigured
from worker.sources import open_sources

TIMEOUT_S = 3.0


def print_diagnosis(console: Console, home: Path, mail_domain: str | None) -> bool:
    """Print every finding; whether all is fine."""
    findings = list(diagnose(load_settings(), home, mail_domain))
    for finding in findings:
        mark = "[green]ok[/green]  " if finding.is_fine else "[red]no[/red]  "
        console.print(f"{mark} {finding.what}: {escape(finding.says)}", soft_wrap=True, highlight=False)
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
        yield from look_at_mail(settings, mail_domain)
    else:
        yield fine("Mail", "DNS and SMTP were not tried: give --mail-domain with a domain of your own.")


def _postgres(settings: Settings) -> Finding:
    if not settings.database_url:
        return fine("Postgres", "DATABASE_URL is not set; `growth up` uses an embedded server.")
    database = open_database(settings.database_url, pool_size=1)
    try:
        if not database.takes_writes():
            return wrong(
                "Postgres", "reachable, but read-only: name the primary in DATABASE_URL, or make it take writes."
            )
        if is_migrated(database):
            return fine("Postgres", "reachable, with the schema of this version.")
        return wrong("Postgres", "reachable, but its schema is not this version's: run `growth migrate`.")
    except (PostgresUnavailable, DBAPIError) as error:
        return wrong("Postgres", sentence_of(error))
    finally:
        database.close()


def _redis(what: str, url: str, variable: str) -> Finding:
    if not url:
        return fine(what, f"{variable} is not set; `growth up` uses an embedded server.")
    if not url.startswith(("redis", "unix")):
        return fine(what, "not a Redis URL; Celery checks it when it starts.")
    client = redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
    try:
        client.ping()
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy", "noeviction")
    except redis.RedisError as error:
        return wrong(what, f"not reachable ({type(error).__name__}): check {variable} and the server.")
    finally:
        client.close()
    if policy != "noeviction":
        return wrong(what, f"evicts keys ({policy}): set maxmemory-policy to noeviction, or queues get lost.")
    return fine(what, "reachable.")


def _export_dir(settings: Settings) -> Finding:
    probe = settings.export_dir / ".doctor"
    try:
        settings.export_dir.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return wrong("Exports", f"EXPORT_DIR can't be written ({error.strerror}): choose another, or its owner.")
    return fine("Exports", f"{settings.export_dir} can be written.")


def _sources(settings: Settings) -> Iterator[Finding]:
    """What beyond mail servers will be asked; nothing is, if no file of it is set."""
    if not (settings.providers_file or settings.people_file or settings.companies_file):
        return
    try:
        steps = open_sources(settings).sources.steps
    except SourcesMisconfigured as error:
        yield wrong("Sources", str(error))
    else:
        yield fine("Sources", f"asked after mail servers, in this order: {', '.join(s.name for s in steps) or 'none'}.")


def _api(home: Path) -> Finding:
    try:
        credentials = find_credentials(home)
        with ApiClient(credentials) as client:
            client.check_access()
    except ApiError as error:
        return wrong("API", str(error))
    return fine("API", f"{credentials.api_url} takes the key.")
