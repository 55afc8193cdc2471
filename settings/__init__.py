"""Every setting, read from the environment. Only doors read it; they pass values on."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, IPvAnyAddress, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.redis_url import normal_url, with_another_database

Seconds = Annotated[float, Field(gt=0, le=3600)]
Credits = Annotated[int, Field(ge=0, le=1_000_000)]
FreshDays = Annotated[float, Field(ge=0, le=365)]
Port = Annotated[int, Field(ge=1, le=65535)]


class UnusableSettings(SystemExit):
    """Raised when settings are missing or wrong. Unless it is caught it ends the process with its sentence."""


class Settings(BaseSettings):
    """What an operator can set. docs/settings.md is generated from the descriptions."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    database_url: str = Field("", description="PostgreSQL, as `postgresql://user:password@host/database`")
    redis_url: str = Field("", description="Redis or Valkey for the live copy of run states, as `redis://host:6379/0`")
    broker_url: str = Field(
        "", description="Celery's broker, Redis or `amqp://…` for RabbitMQ; unset: `REDIS_URL` with database 1"
    )

    export_dir: Path = Field(
        Path("exports"), description="Where export files go; API, workers and sweeper share it, as one user"
    )
    public_url: str = Field("", description="Put before `download_url` in answers, such as `https://api.example.com`")

    dns_resolvers: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Resolvers to ask, as `host:port,host:port`; unset: the system's"
    )
    smtp_port: Port = Field(25, description="The port on which mail servers are asked")
    smtp_allow_private: bool = Field(
        False, description="Also contact mail servers on loopback and private addresses (tests, sandbox)"
    )
    smtp_helo_name: str = Field(
        "", description="Our name in EHLO; give the one your address resolves to; unset: the host's own"
    )
    smtp_mail_from: str = Field("", description="Our address in MAIL FROM; empty: the null sender `<>`")
    reply_rules_file: Path | None = Field(
        None, description="Your own rules of what mail servers' replies mean, tried before the engine's"
    )
    smtp_timeout_seconds: Seconds = Field(20, description="The longest wait for one SMTP reply")
    smtp_connections_per_host: int = Field(
        4, ge=1, le=100, description="Connections to one mail host at once, over all workers"
    )
    smtp_connections_per_provider: int = Field(
        40, ge=1, le=1000, description="Connections to all mail hosts of one provider at once, over all workers"
    )
    smtp_recipients_per_second: float = Field(
        100, gt=0, le=10_000, description="Addresses that one mail host is asked about in a second, on average"
    )
    smtp_starttls: bool = Field(True, description="Encrypt sessions with mail servers that offer STARTTLS")
    smtp_source_ips: Annotated[tuple[IPvAnyAddress, ...], NoDecode] = Field(
        (), description="Addresses of this machine to connect from, as `192.0.2.1,2001:db8::1`; unset: its default one"
    )
    smtp_proxies: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="SOCKS5 proxies to connect through, as `socks5://user:password@host:port,…`"
    )
    contact_timeout_seconds: Seconds = Field(60, le=180, description="The longest that one contact may take in a stage")

    lists_dir: Path | None = Field(
        None, description="Your own `disposable.txt`, `free.txt` and `role.txt`, read again when they change"
    )

    defer_seconds: Annotated[tuple[Seconds, ...], NoDecode] = Field(
        (300, 900),
        description="How long a contact is deferred the first, the second, … time, when a mail server asks for that, "
        "or when mail or name servers are in trouble",
    )

    verifier_url: str = Field(
        "",
        description="A remote verifier that is asked in place of mail servers, such as Reacher's"
        " `http://host:8080/v1/check_email`; unset: none",
    )
    verifier_header: str = Field(
        "", repr=False, description="A header for the remote verifier, such as `Authorization: key`"
    )
    verifier_at_once: int = Field(
        10, ge=1, le=1000, description="Questions to the remote verifier at once, per process"
    )

    providers_file: Path | None = Field(
        None,
        description="Providers to ask where mail servers do not know, as TOML: [format](how-to/ask-other-sources.md)",
    )
    people_file: Path | None = Field(
        None, description="Addresses that you know yourself, as CSV: `full_name`, `domain` or `company`, `email`"
    )
    companies_file: Path | None = Field(
        None, description="Domains of companies, for contacts that bring none, as CSV: `company`, `domain`"
    )

    chunk_size: int = Field(200, ge=1, le=10_000, description="Contacts that a chunk task leases at once")
    max_tasks_per_run: int = Field(8, ge=1, le=1000, description="Chunk tasks that may work one run at the same time")
    lease_seconds: Seconds = Field(8, description="How long a silent chunk task keeps its chunk")
    checkpoint_seconds: Seconds = Field(
        0.25, description="How often a chunk task writes what it has: the work a crash may cost"
    )
    chunk_seconds: Seconds = Field(80, le=240, description="After this a chunk task releases what is left of its chunk")
    run_hours: float = Field(48, gt=0, le=24 * 90, description="A run that takes longer than this is failed")
    stage_hours: float = Field(24, gt=0, le=24 * 90, description="A run with a stage that takes longer is failed")
    retention_days: float = Field(
        90, gt=0, le=36_500, description="After so many days the data of a finished run is deleted; its counts stay"
    )
    fresh_days_valid: FreshDays = Field(30, description="For so many days a `valid` verdict is used again; 0: never")
    fresh_days_risky: FreshDays = Field(7, description="For so many days a `risky` verdict is used again; 0: never")
    fresh_days_invalid: FreshDays = Field(
        30, description="For so many days an `invalid` verdict is used again; 0: never"
    )
    sweep_seconds: Seconds = Field(1, description="How often the sweeper looks for runs that stand still")
    live_state_seconds: Seconds = Field(5, description="How long a running run's copy in Redis may go unrenewed")

    credits_per_contact: Credits = Field(4, description="Charged for each contact when a run is created")
    rebate_per_unresolved: Credits = Field(4, description="Given back for each contact without an address")
    rebate_per_unverified: Credits = Field(0, description="Given back for each address found and not verified")

    max_body_bytes: int = Field(64 * 1024 * 1024, ge=1024, description="The largest request body that is read")
    max_contacts: int = Field(250_000, ge=1, description="The most contacts in one run")
    requests_per_minute: int = Field(1200, ge=1, description="The most requests of one account in a minute")

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
            # Here, since it takes a moment to load, and not all that read settings have a database.
            from models.connections import url_of

            url_of(value)
        return value

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
                "LEASE_SECONDS must be at least three times CHECKPOINT_SECONDS, or live chunk tasks lose their lease"
            )
        if self.chunk_seconds < 1.25 * self.contact_timeout_seconds + 5:
            raise ValueError(
                "CHUNK_SECONDS must be at least 1.25 times CONTACT_TIMEOUT_SECONDS and 5 more, or the contacts of a"
                " slow domain are begun again and again"
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
        """Where Celery's messages go: a database of their own, so that neither evicts the other."""
        if self.broker_url or not self.redis_url:
            return self.broker_url
        return with_another_database(self.redis_url)


def _with_scheme(url: str, *schemes: str) -> str:
    scheme, separator, _ = url.partition("://")
    if url and not (separator and scheme.partition("+")[0] in schemes):
        raise ValueError(f"it must be a {schemes[0]}:// URL")
    return url


def _is_socks_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "socks5" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """The settings of this process. Raises `UnusableSettings`, whose sentence names each one that is invalid."""
    return read_settings()


def read_settings(**given: str) -> Settings:
    """The settings of the environment, but for those that are given. Raises `UnusableSettings`."""
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        sentences = [_sentence(problem["loc"], problem["msg"]) for problem in error.errors()]
        raise UnusableSettings("\n".join(sentences)) from None


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    name = str(location[0]).upper() if location else ""
    text = message.removeprefix("Value error, ")
    return f"Setting {name} is not usable: {text}." if name else f"These settings do not fit together: {text}."


def required(settings: Settings, *names: str) -> Settings:
    """The same settings, once each of `names` is set. Raises `UnusableSettings`, which names those that are not."""
    missing = [name.upper() for name in names if not getattr(settings, name)]
    if missing:
        raise UnusableSettings(
            f"{' and '.join(missing)} must be set. On one machine, `growth up` does all of it for you."
        )
    return settings
