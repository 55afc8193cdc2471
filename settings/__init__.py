"""Every setting, read from the environment. Entry points read the settings and pass values on."""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, IPvAnyAddress, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.redis_url import normal_url, with_another_database
from pipeline.storage import check_url
from settings.renamed import problems_with_names

Seconds = Annotated[float, Field(gt=0, le=3600)]
Credits = Annotated[int, Field(ge=0, le=1_000_000)]
FreshDays = Annotated[float, Field(ge=0, le=365)]
Port = Annotated[int, Field(ge=1, le=65535)]


WHAT_IT_MUST_BE = {
    "int_parsing": "it must be a whole number",
    "float_parsing": "it must be a number",
    "finite_number": "it must be a number",
    "bool_parsing": "it must be true or false",
    "greater_than": "it must be more than {gt:.12g}",
    "greater_than_equal": "it must be {ge:.12g} or more",
    "less_than_equal": "it must be {le:.12g} or less",
    "ip_any_address": "each must be an IP address",
}
"""Pydantic's problems with a value, as sentences for operators; those of our own validators are sentences already."""


class UnusableSettings(SystemExit):
    """Raised when settings are missing or invalid. If it is not caught, it ends the process with its sentence."""


class Settings(BaseSettings):
    """What an operator can set. docs/settings.md is generated from the descriptions."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    database_url: str = Field("", description="PostgreSQL, as `postgresql://user:password@host/database`")
    redis_url: str = Field(
        "", description="Redis or Valkey for the live copies of run states, as `redis://host:6379/0`"
    )
    broker_url: str = Field(
        "", description="Celery's broker: Redis, or RabbitMQ as `amqp://…`; unset: `REDIS_URL` with database 1"
    )

    export_dir: Path = Field(
        Path("exports"),
        description="Directory for export files, shared by API, workers and sweeper, which run as one user",
    )
    export_storage: str = Field(
        "",
        description="Where export files are kept instead: `s3://bucket/prefix`, `gs://…`, `az://…` or `file:///…`;"
        " [keys and endpoint](how-to/run-in-production.md#files-in-a-bucket)",
    )
    public_url: str = Field("", description="Prefix of each `download_url`, such as `https://api.example.com`")
    flower_url: str = Field("", description="Where operators open Flower, for a link on their page")
    download_url_hours: float = Field(
        24, ge=2, le=168, description="Hours for which a `download_url` is valid without an API key"
    )

    dns_resolvers: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Resolvers, as `host:port,host:port`; unset: the system's"
    )
    smtp_port: Port = Field(25, description="Port of mail servers")
    smtp_allow_private: bool = Field(
        False, description="Also connect to mail servers on loopback and private addresses (tests, sandbox)"
    )
    smtp_helo_name: str = Field(
        "",
        description="Name to send in EHLO; it should be what your IP address resolves to; unset: the host's name",
    )
    smtp_mail_from: str = Field("", description="Address to send in MAIL FROM; empty: the null sender `<>`")
    reply_rules_file: Path | None = Field(
        None, description="Your own rules for mail servers' replies, tried before the built-in ones"
    )
    smtp_timeout_seconds: Seconds = Field(20, description="Timeout for one SMTP reply")
    smtp_connections_per_host: int = Field(
        4, ge=1, le=100, description="Maximum connections to one mail host, over all workers"
    )
    smtp_connections_per_provider: int = Field(
        40, ge=1, le=1000, description="Maximum connections to all mail hosts of one mail provider, over all workers"
    )
    smtp_recipients_per_second: float = Field(
        100, gt=0, le=10_000, description="Average number of addresses to probe at one mail host per second"
    )
    smtp_starttls: bool = Field(True, description="Encrypt sessions with mail servers that offer STARTTLS")
    smtp_source_ips: Annotated[tuple[IPvAnyAddress, ...], NoDecode] = Field(
        (), description="Local IP addresses to connect from, as `192.0.2.1,2001:db8::1`; unset: the default one"
    )
    smtp_proxies: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="SOCKS5 proxies to connect through, as `socks5://user:password@host:port,…`"
    )
    contact_timeout_seconds: Seconds = Field(
        60, le=180, description="Longest time that one contact may take in a stage"
    )

    lists_dir: Path | None = Field(
        None,
        description="Directory with your own `disposable.txt`, `free.txt` and `role.txt`, read again when they change",
    )

    defer_seconds: Annotated[tuple[Seconds, ...], NoDecode] = Field(
        (300, 900),
        description="How long to wait after a contact's first, second, … deferral: when a mail server asks to try again"
        " later, or mail or name servers fail",
    )

    verifier_url: str = Field(
        "",
        description="Remote verifier to ask instead of mail servers, such as Reacher's"
        " `http://host:8080/v1/check_email`; unset: none",
    )
    verifier_header: str = Field(
        "", repr=False, description="Header to send to the remote verifier, such as `Authorization: key`"
    )
    verifier_at_once: int = Field(
        10, ge=1, le=1000, description="Maximum concurrent requests to the remote verifier, per process"
    )

    providers_file: Path | None = Field(
        None,
        description="Providers to ask if mail servers can't tell, as TOML: [format](how-to/ask-other-sources.md)",
    )
    people_file: Path | None = Field(
        None, description="Addresses that you already know, as CSV: `full_name`, `domain` or `company`, `email`"
    )
    companies_file: Path | None = Field(
        None, description="Domains of companies, for contacts without a domain, as CSV: `company`, `domain`"
    )

    chunk_size: int = Field(200, ge=1, le=10_000, description="Number of contacts in a chunk")
    max_tasks_per_run: int = Field(
        8, ge=1, le=1000, description="Maximum number of worker processes that work one run at the same time"
    )
    lease_seconds: Seconds = Field(
        8, description="How long a chunk stays leased to a chunk task that does not renew the lease"
    )
    checkpoint_seconds: Seconds = Field(
        0.25, description="How often a chunk task writes its outcomes, which is the most work that a crash costs"
    )
    chunk_seconds: Seconds = Field(
        80,
        le=240,
        description="Time after which a chunk task releases the rest of a chunk, and hands on to another task",
    )
    run_hours: float = Field(48, gt=0, le=24 * 90, description="Time after which an unfinished run is failed")
    stage_hours: float = Field(
        24, gt=0, le=24 * 90, description="Time after which a run with an unfinished stage is failed"
    )
    retention_days: float = Field(
        90,
        gt=0,
        le=36_500,
        description="Days after which the data of a finished run is deleted; its counts are kept. Clients lose access "
        "and files are deleted at once, rows within 10 days more (at once if this is below 30)",
    )
    timeline_days: float = Field(
        730,
        gt=0,
        le=36_500,
        description="Days after which the timelines of the runs of a week are deleted, if their data is deleted",
    )
    fresh_days_valid: FreshDays = Field(30, description="Days for which a `valid` verdict is reused; 0: never")
    fresh_days_risky: FreshDays = Field(7, description="Days for which a `risky` verdict is reused; 0: never")
    fresh_days_invalid: FreshDays = Field(30, description="Days for which an `invalid` verdict is reused; 0: never")
    sweep_seconds: Seconds = Field(1, description="How often the sweeper looks for stalled runs")
    live_state_seconds: Seconds = Field(
        5, description="How long a running run's live copy in Redis is valid without renewal"
    )

    hook_allow_private: bool = Field(
        False,
        description="Also deliver to hooks on loopback and private addresses, and without TLS (tests, own network)",
    )
    hook_timeout_seconds: float = Field(15, ge=1, le=60, description="Timeout for one delivery to a hook")
    hook_log_days: float = Field(
        14, gt=0, le=365, description="Days for which the log of deliveries is kept, and can be replayed"
    )

    credits_per_contact: Credits = Field(4, description="Credits charged for each contact when a run is created")
    rebate_per_unresolved: Credits = Field(4, description="Credits given back for each contact without an address")
    rebate_per_unverified: Credits = Field(
        0, description="Credits given back for each address that was found but not verified"
    )

    quote_minutes: float = Field(15, gt=0, le=1440, description="How long a quote, and its price, is valid")

    max_body_bytes: int = Field(64 * 1024 * 1024, ge=1024, description="Largest request body")
    max_contacts: int = Field(250_000, ge=1, description="Maximum number of contacts in one request")
    max_upload_bytes: int = Field(
        2 * 1024**3, ge=1024, description="Largest file of an upload, also once it is unpacked"
    )
    max_upload_rows: int = Field(1_000_000, ge=1, description="Maximum number of rows in an upload")
    max_workbook_mb: int = Field(
        500,
        ge=10,
        description="Megabytes of memory that a workbook may take while it is read; a larger one is refused",
    )
    max_uploads: int = Field(20, ge=1, description="Maximum number of unused uploads of one account")
    upload_hours: float = Field(
        24,
        gt=0,
        le=24 * 90,
        description="Hours after its last byte for which an upload waits for a run; then it expires",
    )
    requests_per_minute: int = Field(1200, ge=1, description="Maximum number of requests of one account per minute")

    @field_validator("dns_resolvers", "smtp_source_ips", "smtp_proxies", "defer_seconds", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("reply_rules_file", "lists_dir", "providers_file", "people_file", "companies_file", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return value or None

    @field_validator("smtp_proxies")
    @classmethod
    def _check_proxies(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all(_is_socks_proxy(proxy.get_secret_value()) for proxy in value):
            raise ValueError("each must look like socks5://user:password@host:port")
        return value

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        if _with_scheme(value, "postgresql", "postgres"):
            # Imported here: it takes a moment to load, and not every process has a database.
            from models.connections import url_of

            url_of(value)
        return value

    @field_validator("export_storage")
    @classmethod
    def _check_export_storage(cls, value: str) -> str:
        return check_url(value)

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, value: str) -> str:
        return normal_url(value) if value else ""

    @field_validator("broker_url")
    @classmethod
    def _check_broker_url(cls, value: str) -> str:
        return normal_url(value) if value and not value.startswith(("amqp://", "amqps://")) else value

    @field_validator("verifier_url")
    @classmethod
    def _check_verifier_url(cls, value: str) -> str:
        return _with_scheme(value, "http", "https")

    @field_validator("verifier_header")
    @classmethod
    def _check_verifier_header(cls, value: str) -> str:
        if value and not re.fullmatch(r"[\w-]+: *[\x21-\x7e][\x20-\x7e]*", value):
            raise ValueError("it must be `Name: value`")
        return value

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        if self.lease_seconds < 3 * self.checkpoint_seconds:
            raise ValueError(
                "LEASE_SECONDS must be at least three times CHECKPOINT_SECONDS, or running chunk tasks lose their lease"
            )
        if self.chunk_seconds < 1.25 * self.contact_timeout_seconds + 5:
            raise ValueError(
                "CHUNK_SECONDS must be at least 1.25 times CONTACT_TIMEOUT_SECONDS plus 5, or contacts of a slow domain"
                " are started again and again without being finished"
            )
        charged, given_back = (
            self.credits_per_contact,
            max(self.rebate_per_unresolved, self.rebate_per_unverified),
        )
        if given_back > charged:
            raise ValueError("a rebate must not exceed CREDITS_PER_CONTACT, or a run could earn credits")
        return self

    @property
    def celery_broker_url(self) -> str:
        """The broker's URL. In Redis, messages and live copies have separate databases: neither evicts the other."""
        if self.broker_url or not self.redis_url:
            return self.broker_url
        return with_another_database(self.redis_url)


def _with_scheme(url: str, *schemes: str) -> str:
    scheme, separator, _ = url.partition("://")
    if url and not (separator and scheme.partition("+")[0] in schemes):
        raise ValueError(f"it must be a URL that begins with {' or '.join(f'{each}://' for each in schemes)}")
    return url


def _is_socks_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "socks5" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """Read the settings of this process, once. Raises `UnusableSettings`, which names each invalid one."""
    return read_settings()


def read_settings(**given: str) -> Settings:
    """Read the environment's settings, except for those given here. Raises `UnusableSettings`."""
    if problems := list(problems_with_names(os.environ)):
        raise UnusableSettings("\n".join(problems))
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise UnusableSettings("\n".join(dict.fromkeys(map(_sentence, error.errors())))) from None


def _sentence(problem: ErrorDetails) -> str:
    name = str(problem["loc"][0]).upper() if problem["loc"] else ""
    known = WHAT_IT_MUST_BE.get(problem["type"], "")
    text = known.format(**problem.get("ctx", {})) or problem["msg"].removeprefix("Value error, ")
    return f"Setting {name} is not usable: {text}." if name else f"These settings do not fit together: {text}."


def required(settings: Settings, *names: str) -> Settings:
    """Return the settings if each of `names` is set. Raises `UnusableSettings`, which names those that are not."""
    missing = [name.upper() for name in names if not getattr(settings, name)]
    if missing:
        raise UnusableSettings(
            f"{' and '.join(missing)} must be set. On one machine, `growth up` sets everything for you."
        )
    return settings
