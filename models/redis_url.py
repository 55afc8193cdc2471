"""Normalises URLs of Redis and Valkey to redis-py's form, which all of our clients read.

`redis://user:password@host:port/database?option=value`, `rediss://` for TLS, `unix://user:password@/path?db=database`
for a socket. Celery's spellings (`redis+socket://`, `virtual_host`, `CERT_REQUIRED`) are understood as well.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis
import redis.asyncio

BROKER_DATABASE = 1

_SCHEMES = ("redis", "rediss", "unix")
_UNSUPPORTED = re.compile(r"[a-z+]*(sentinel|cluster)[a-z+]*://", re.IGNORECASE)
_SERVER = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^:,;\[\]]*)(:(?P<port>\d{1,5}))?")
_ENCODE = "write `@ : / ? # %` in a user or password percent-encoded, as %40 %3A %2F %3F %23 %25"


def normal_url(text: str) -> str:
    """Return a URL in redis-py's form. Raises `ValueError`, whose text never shows the URL: it has a password."""
    if _UNSUPPORTED.match(text):
        raise ValueError("Redis Sentinel and Cluster are not supported: give the redis:// URL of one server")
    try:
        parts = urlsplit(re.sub(r"^redis\+socket://", "unix://", text))
    except ValueError:
        raise ValueError(f"it can't be read; {_ENCODE}") from None
    if parts.scheme not in _SCHEMES:
        raise ValueError("it must be a redis:// URL, or one with rediss:// or unix://")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    database = query.pop("db", "") or query.pop("virtual_host", "")
    if parts.scheme != "unix":
        _check_server(parts.netloc, parts.fragment)
        database = database or parts.path.strip("/")
    elif parts.path in ("", "/"):
        raise ValueError("it must name a socket, as unix:///path/to/redis.sock")
    if not re.fullmatch(r"\d{0,9}", database):
        raise ValueError(f"what follows the host must be the number of a database; {_ENCODE}")
    if "ssl_cert_reqs" in query:
        query["ssl_cert_reqs"] = query["ssl_cert_reqs"].lower().removeprefix("cert_")
    url = _url(parts.scheme, parts.netloc, parts.path, int(database or 0), query)
    _check_options(url, query)
    return url


def database_of(url: str) -> int:
    """The number of the database in a URL of redis-py's form."""
    parts = urlsplit(url)
    return int(dict(parse_qsl(parts.query)).get("db") or parts.path.removeprefix("/"))


def with_another_database(url: str) -> str:
    """The same server, user, password and options, with database 1, or 2 if the URL has 1."""
    parts = urlsplit(url)
    database = BROKER_DATABASE if database_of(url) != BROKER_DATABASE else BROKER_DATABASE + 1
    return _url(parts.scheme, parts.netloc, parts.path, database, dict(parse_qsl(parts.query)))


def celery_url(url: str) -> str:
    """The URL in Celery's form, without options: Celery takes them as settings."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={database_of(url)}"
    return _url(parts.scheme, parts.netloc, parts.path, database_of(url), {})


def _url(scheme: str, netloc: str, path: str, database: int, query: Mapping[str, str]) -> str:
    if scheme == "unix":
        return f"unix://{netloc}{path}?{urlencode({**query, 'db': database}, safe='/')}"
    options = f"?{urlencode(query, safe='/')}" if query else ""
    return f"{scheme}://{netloc}/{database}{options}"


def _check_server(netloc: str, fragment: str) -> None:
    server = _SERVER.fullmatch(netloc.rpartition("@")[2])
    if fragment or not server or int(server["port"] or 0) > 65_535:
        raise ValueError(f"it must name one server, as redis://user:password@host:port/0; {_ENCODE}")


def _check_options(url: str, query: Mapping[str, str]) -> None:
    """Check that both clients accept the options. Nothing is connected."""
    try:
        redis.ConnectionPool.from_url(url).make_connection()
        redis.asyncio.ConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, redis.RedisError):
        raise ValueError(
            f"one of its options ({', '.join(sorted(query))}) is not known, or its value is not; "
            "those that begin with ssl_ need rediss://"
        ) from None
