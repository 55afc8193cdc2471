"""Opens connections to Postgres with the settings that we need, directly or behind a pooler.

Date formats, time zone and timeouts are set for each session, whatever the defaults of role and server are. A server
accepts them when the connection starts (`options`), at no cost. A pooler such as PgBouncer in transaction mode refuses
`options` or ignores it, and may run each transaction in another session of the server. Behind one, they are set at the
beginning of each transaction. No statement is prepared, pooler or not.
"""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, Connection, Dialect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from models.postgres_errors import DatabaseUnusable

DRIVER = "postgresql+psycopg"
ENCODING = "UTF8"

CONNECTING = {
    "connect_timeout": 5,
    "client_encoding": ENCODING,
    # A network that silently drops packets is noticed within seconds. With the system's defaults that takes 15 minutes
    # to hours, in which no run would be swept. A Unix socket ignores these.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Unless the URL says otherwise."""

IDLE_IN_TRANSACTION_S = 5
"""A process that is frozen in a transaction holds the lock on its run. Postgres ends it before a lease ends."""

READABLE = (
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("standard_conforming_strings", "on"),
)
"""The formats that the driver can read: a URL can't change them."""

NO_OPTIONS = re.compile("startup parameter|command-line option", re.IGNORECASE)
"""The errors of poolers that refuse `options`: PgBouncer, and RDS Proxy."""

PROOF = "growth.direct"
"""A parameter without a meaning. A session that has our value is the server's own, and accepted our options."""

POOLED = "growth_pooled"
"""The key of the settings for each transaction, for a connection that leads to a pooler."""

LIMIT_SINCE_17 = ("transaction_timeout", "0")
"""Postgres 17 can limit a whole transaction. Older servers refuse `options` with this name."""

PROVE = """
SELECT proof, CASE WHEN proof = %(proof)s AND %(has_limit)s THEN set_config('transaction_timeout', '0', false) END
FROM current_setting('growth.direct', true) AS proof
"""

Setting = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a statement may take, and how long it may wait for a lock."""

    statement_s: float
    lock_s: float


ON_A_CLIENTS_BEHALF = Timeouts(statement_s=15, lock_s=3)
"""A client waits for the answer. It gets a 503 and can try again."""

IN_THE_BACKGROUND = Timeouts(statement_s=600, lock_s=30)
"""No client waits. A statement that takes that long will not end by itself."""


def url_of(text: str) -> URL:
    """SQLAlchemy's URL for a `postgresql://` one; it may name several hosts. Raises `ValueError`."""
    plain = f"postgresql://{text.partition('://')[2]}"
    try:
        if "," not in re.split("[/?]", plain.removeprefix("postgresql://"), maxsplit=1)[0].rpartition("@")[2]:
            return make_url(plain).set(drivername=DRIVER)
        return _url_with_hosts(conninfo_to_dict(plain))
    except (psycopg.ProgrammingError, ArgumentError, ValueError):
        raise ValueError("it is not a PostgreSQL URL, such as postgresql://user:password@host/database") from None


def _url_with_hosts(parts: dict[str, Any]) -> URL:
    user, password, database = (parts.pop(name, None) for name in ("user", "password", "dbname"))
    return URL.create(DRIVER, user, password, database=database, query=parts)


class Connector:
    """Opens the connections of one pool."""

    def __init__(self, application_name: str, timeouts: Timeouts) -> None:
        self._application_name = application_name
        self._timeouts: Sequence[Setting] = (
            ("statement_timeout", _milliseconds(timeouts.statement_s)),
            ("lock_timeout", _milliseconds(timeouts.lock_s)),
            ("idle_in_transaction_session_timeout", _milliseconds(IDLE_IN_TRANSACTION_S)),
        )
        self._proof = secrets.token_hex(8)
        self._are_options_refused = False

    def connect(self, dialect: Dialect, contact: Any, arguments: Sequence[Any], url: dict[str, Any]) -> Any:
        """SQLAlchemy's `do_connect`. Raises `DatabaseUnusable` for a database that can't store all text."""
        parameters = self._parameters(url)
        settings = [*self._timeouts, *_settings_of_url(url), *READABLE]
        connection = self._connect(dialect, arguments, parameters, settings)
        try:
            _check_encoding(connection)
            # A prepared statement keeps a plan from when the tables were nearly empty: a stage loaded its chunks five
            # times as slowly in a database that was analysed in its first minutes.
            connection.prepare_threshold = None
            has_limit = connection.info.server_version >= 170_000
            if self._are_options_refused or not self._took_options(connection, has_limit=has_limit):
                contact.info[POOLED] = [LIMIT_SINCE_17, *settings] if has_limit else settings
        except BaseException:
            connection.close()
            raise
        return connection

    def _parameters(self, url: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in url.items() if name not in ("options", "search_path")}
        # Of several hosts use the one that takes writes, whichever that is after a failover.
        several = {"target_session_attrs": "read-write"} if "," in str(given.get("host", "")) else {}
        return {**CONNECTING, "application_name": self._application_name, **several, **given}

    def _connect(
        self, dialect: Dialect, arguments: Sequence[Any], parameters: Mapping[str, Any], settings: Sequence[Setting]
    ) -> Any:
        if not self._are_options_refused:
            options = " ".join(f"-c {name}={_escaped(value)}" for name, value in [*settings, (PROOF, self._proof)])
            try:
                return dialect.connect(*arguments, **parameters, options=options)
            except psycopg.OperationalError as error:
                if not NO_OPTIONS.search(str(error)):
                    raise
            self._are_options_refused = True
        return dialect.connect(*arguments, **parameters)

    def _took_options(self, connection: Any, *, has_limit: bool) -> bool:
        connection.autocommit = True
        asked = {"proof": self._proof, "has_limit": has_limit}
        proof, _ = connection.execute(PROVE, asked).fetchone()
        connection.autocommit = False
        return bool(proof == self._proof)


def set_for_transaction(connection: Connection) -> None:
    """SQLAlchemy's `begin`: behind a pooler each transaction may be in another session, without our settings."""
    settings = connection.info.get(POOLED)
    if settings:
        calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
        connection.exec_driver_sql(f"SELECT {calls}", tuple(part for setting in settings for part in setting)).close()


def _settings_of_url(url: Mapping[str, Any]) -> Iterator[Setting]:
    """The settings in the URL: `options=-c name=value`, as libpq reads it, and `search_path=…`."""
    options = url.get("options") or ""
    words = _words(" ".join(options) if isinstance(options, tuple) else options)
    for word in words:
        setting = next(words, "") if word in ("-c", "--") else re.sub("^(-c|--)", "", word)
        name, separator, value = setting.partition("=")
        if separator:
            yield name.replace("-", "_"), value
    if search_path := url.get("search_path"):
        yield "search_path", search_path


def _words(options: str) -> Iterator[str]:
    """Split options into words as the server does: a backslash makes the next character part of the word."""
    for word in re.findall(r"(?:\\.|[^\\\s])+", options):
        yield re.sub(r"\\(.)", r"\1", word)


def _escaped(value: str) -> str:
    return re.sub(r"([\\\s])", r"\\\1", value)


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


def _check_encoding(connection: Any) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in (None, ENCODING):
        raise DatabaseUnusable(
            f"The database's encoding is {encoding}, which can't hold the world's names: create the database anew, "
            "with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0."
        )
