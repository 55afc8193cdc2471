"""`growth doctor`: checks servers, files and the API."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import DBAPIError

from cli.client import ApiClient, ApiError, find_credentials
from cli.database import sentence_of
from cli.doctor.finding import Finding, Mark, fine, not_tried, warned, wrong
from cli.doctor.mail import look_at_mail
from cli.terminal import write_json
from models.database import open_database
from models.postgres_errors import PostgresUnavailable
from models.redis_server import CHANNEL_NEEDS, LIVE_COPY_NEEDS, eviction_policy, find_trouble
from models.redis_url import database_of
from models.revision import is_migrated
from pipeline.errors import SourcesMisconfigured
from pipeline.storage import open_storage
from settings import Settings, load_settings
from settings.sources import open_sources
from worker.broker import find_broker_trouble, find_unseen, is_rabbitmq

TIMEOUT_S = 3.0
COLOURS = {Mark.OK: "green", Mark.WARNING: "yellow", Mark.WRONG: "red", Mark.NOT_TRIED: "yellow"}


def print_diagnosis(console: Console, home: Path, mail_domain: str | None, *, as_json: bool = False) -> bool:
    """Print every finding; return whether no check failed."""
    findings = list(diagnose(load_settings(), home, mail_domain))
    if as_json:
        write_json(
            [{"what": each.what, "result": each.mark.name.lower(), "detail": each.sentence} for each in findings]
        )
    for finding in [] if as_json else findings:
        mark = f"[{COLOURS[finding.mark]}]{finding.mark:<4}[/]"
        console.print(f"{mark} {finding.what}: {escape(finding.sentence)}", soft_wrap=True, highlight=False)
    return all(finding.mark is not Mark.WRONG for finding in findings)


def diagnose(settings: Settings, home: Path, mail_domain: str | None) -> Iterator[Finding]:
    """Check Postgres, Redis, the broker, export storage, the API, and with a domain DNS and SMTP."""
    yield _postgres(settings)
    yield _redis(settings)
    yield _broker(settings)
    yield _exports(settings)
    yield from _sources(settings)
    yield _api(home)
    if mail_domain:
        yield from look_at_mail(settings, mail_domain)
    else:
        yield not_tried("Mail", "give --mail-domain with a domain of your own, to ask its DNS and its mail server.")


def _postgres(settings: Settings) -> Finding:
    if not settings.database_url:
        return not_tried("Postgres", "DATABASE_URL is not set; `growth up` uses an embedded server.")
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


def _redis(settings: Settings) -> Finding:
    url = settings.redis_url
    if not url:
        return not_tried("Redis", "REDIS_URL is not set; `growth up` uses an embedded server.")
    if trouble := find_trouble(url, "REDIS_URL", LIVE_COPY_NEEDS, TIMEOUT_S):
        return wrong("Redis", trouble)
    unheard = find_trouble(url, "REDIS_URL", CHANNEL_NEEDS, TIMEOUT_S)
    note = (
        f"To tell workers whose turn it is at a mail server it is {unheard} They look each second." if unheard else ""
    )
    return _keeps_all("Redis", url, note)


def _broker(settings: Settings) -> Finding:
    url = settings.celery_broker_url
    if not url:
        return not_tried("Broker", "neither BROKER_URL nor REDIS_URL is set; `growth up` uses an embedded server.")
    if trouble := find_broker_trouble(settings, TIMEOUT_S):
        return wrong("Broker", trouble)
    if is_rabbitmq(url):
        return fine("Broker", "reachable.")
    unseen = find_unseen(settings, TIMEOUT_S)
    note = f"For Flower and `celery inspect` it is {unseen}" if unseen else ""
    if settings.broker_url:
        return _keeps_all("Broker", url, note)
    where = f"reachable: database {database_of(url)} of the same server, since BROKER_URL is not set."
    return warned("Broker", f"{where} {note}") if note else fine("Broker", where)


def _keeps_all(what: str, url: str, note: str) -> Finding:
    policy = eviction_policy(url, TIMEOUT_S)
    if policy not in ("noeviction", None):
        return wrong(what, f"evicts keys ({policy}): set maxmemory-policy to noeviction, or queues get lost.")
    unknown = "" if policy else "It does not say whether it evicts keys: see that its maxmemory-policy is noeviction."
    notes = [each for each in (unknown, note) if each]
    return warned(what, " ".join(["reachable.", *notes])) if notes else fine(what, "reachable.")


def _exports(settings: Settings) -> Finding:
    storage = open_storage(settings.export_storage, settings.export_dir)
    if trouble := storage.find_write_trouble():
        return wrong("Exports", trouble)
    return fine("Exports", f"files can be written in {storage}.")


def _sources(settings: Settings) -> Iterator[Finding]:
    """Check the sources beyond mail servers, if any are configured."""
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
