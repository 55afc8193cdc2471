"""Checks whether a Redis or Valkey server can be used, without changing anything in it."""

import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import redis
import redis.asyncio
from redis import exceptions
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.retry import Retry

from models.redis_url import database_of


class Need(NamedTuple):
    """A command that must be allowed, with its arguments, and the ACL rule for its key or channel."""

    words: Sequence[str]
    rule: str = ""


LIVE_COPY_NEEDS = (
    *(Need((command, *rest), "~growth:*") for command, *rest in (
        ("HGET", "growth:run", "state"), ("HMGET", "growth:run", "state"), ("HSET", "growth:run", "version", "1"),
        ("PEXPIRE", "growth:run", "1"), ("EXPIRE", "growth:requests", "60"), ("INCRBY", "growth:requests", "1"),
        ("TTL", "growth:requests"), ("MGET", "growth:mail"), ("SET", "growth:mail", ""), ("DEL", "growth:run"),
        ("EVAL", "return 0", "1", "growth:run"), ("EVALSHA", "0" * 40, "1", "growth:{pacing}:host"),
        ("ZADD", "growth:{pacing}:host", "1", "a"), ("ZCOUNT", "growth:{pacing}:host", "0", "1"),
        ("ZRANGEBYSCORE", "growth:{pacing}:host", "0", "1"), ("ZREM", "growth:{pacing}:host", "a"),
        ("ZREMRANGEBYSCORE", "growth:{pacing}:host", "0", "1"),
    )),
    Need(("SCRIPT", "LOAD", "return 0")),
    Need(("TIME",)),
)  # fmt: skip
"""The commands that API, workers and sweeper send to `REDIS_URL`."""

CHANNEL_NEEDS = (
    Need(("PUBLISH", "growth:run:states", ""), "&growth:*"),
    Need(("SUBSCRIBE", "growth:{pacing}:turns:"), "&growth:*"),
)
"""Commands that they also send, and can do without."""


def open_redis(url: str, timeout_s: float) -> redis.Redis:
    """A client that gives up soon. A connection that the server closed while it was idle is opened again, once."""
    return redis.Redis.from_url(
        url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 1)
    )


def open_async_redis(url: str, **options: Any) -> redis.asyncio.Redis:
    """A client for an event loop of any kind. Closing it closes its connections."""
    pool = redis.asyncio.ConnectionPool.from_url(url, **options)
    pool.connection_class = type("Connection", (_Connections, pool.connection_class), {})
    return redis.asyncio.Redis.from_pool(pool)


_IN_C = HiredisRespSerializer()


class _Connections:
    """What redis-py's asynchronous connections lack.

    They write commands in Python, where its other connections have hiredis do it. And when the server has closed a
    connection, asyncio raises an `OSError`, uvloop a `RuntimeError`, which redis-py does not know: it is raised as the
    error that is tried again.
    """

    def pack_command(self, *words: Any) -> list[bytes]:
        packed: list[bytes] = _IN_C.pack(*words)
        return packed

    async def send_packed_command(self, *arguments: Any, **options: Any) -> None:
        try:
            await super().send_packed_command(*arguments, **options)  # type: ignore[misc]
        except RuntimeError as error:
            raise exceptions.ConnectionError("The server has closed the connection.") from error


def find_trouble(url: str, variable: str, needs: Sequence[Need], timeout_s: float) -> str | None:
    """Say why a server can't do what is needed; None if it can. The text begins with "not".

    The commands are queued in a transaction that is discarded. A server checks rights, memory and its own role when a
    command is queued, and executes none of them. `variable` is the setting to name.
    """
    pool = redis.ConnectionPool.from_url(
        url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
    )
    connection: Any = pool.make_connection()
    try:
        connection.connect()
        refused = _refused(connection, needs)
    except exceptions.NoPermissionError as error:
        # The user has no right to a command that comes first, such as SELECT. So nothing is known of the others.
        return _lacking(url, dict.fromkeys((_first_denied(error), *needs), error), ())
    except (redis.RedisError, OSError) as error:
        return why(error, url, variable)
    finally:
        connection.disconnect()
    denied = {need: error for need, error in refused.items() if isinstance(error, exceptions.NoPermissionError)}
    if denied:
        return _lacking(url, denied, [need for need in needs if need not in refused])
    return why(next(iter(refused.values())), url, variable) if refused else None


def eviction_policy(url: str, timeout_s: float) -> str | None:
    """The server's policy when its memory is full; None if it does not tell, as managed servers do not.

    Raises `redis.RedisError`.
    """
    with open_redis(url, timeout_s) as client:
        with suppress(exceptions.ResponseError):
            return str(client.config_get("maxmemory-policy")["maxmemory-policy"])
        with suppress(exceptions.ResponseError, KeyError):
            return str(client.info("memory")["maxmemory_policy"])
    return None


def why(error: BaseException, url: str, variable: str) -> str:
    """Say why a server can't be used, and what to do; without its address. It begins with "not"."""
    text = " ".join(str(cause) for cause in _causes(error))
    for kind, words, sentence in _REASONS:
        if any(isinstance(cause, kind) for cause in _causes(error)) and words in text:
            return sentence.format(variable=variable, database=database_of(url) if url else "")
    return f"not reachable ({type(error).__name__}): check {variable} and the server."


_ANY = BaseException
_REASONS: Sequence[tuple[type[BaseException], str, str]] = (
    (_ANY, "Authentication required", "not usable: the server wants a user and password: put them into {variable}."),
    (_ANY, "HELLO must be called", "not usable: the server wants a user and password: put them into {variable}."),
    (exceptions.AuthenticationError, "", "not usable: the server refuses the user or password in {variable}."),
    (
        _ANY,
        "index is out of range",
        "not usable: the server has no database {database}: raise its setting `databases`, or use another server.",
    ),
    (_ANY, "protected mode", "not usable: the server takes local connections only (its protected mode)."),
    (
        exceptions.ResponseError,
        "cluster",
        "not usable: it is a Redis Cluster, which is not supported: set {variable} to a single server.",
    ),
    (
        exceptions.MovedError,
        "",
        "not usable: it is a Redis Cluster, which is not supported: set {variable} to a server.",
    ),
    (exceptions.MasterDownError, "", "not usable: it is a replica that lost its primary."),
    (exceptions.ReadOnlyError, "", "not usable: it is a read-only replica: set {variable} to the primary."),
    (exceptions.OutOfMemoryError, "", "not usable: it is out of memory and refuses to write: raise its `maxmemory`."),
    (exceptions.NoPermissionError, "", "not usable: its user lacks rights: `growth doctor` says which to grant."),
    (exceptions.BusyLoadingError, "", "not usable yet: the server is loading its data."),
    (_ANY, "MISCONF", "not usable: it can't save to its disk and refuses to write: look into its log."),
    (
        ssl.SSLCertVerificationError,
        "",
        "not reachable: its certificate can't be verified: name its CA in {variable}, as `?ssl_ca_certs=/path/ca.pem`, "
        "and the host as the certificate does.",
    ),
    (ssl.SSLError, "WRONG_VERSION", "not reachable: it does not speak TLS there: check scheme and port in {variable}."),
    (ssl.SSLError, "", "not reachable: TLS can't be agreed on: check certificate and key in {variable}."),
    (socket.gaierror, "", "not reachable: the name of its host is not known: check {variable}."),
    (FileNotFoundError, "", "not reachable: a socket or certificate that {variable} names is not there."),
    (PermissionError, "", "not reachable: a socket or certificate that {variable} names may not be opened."),
    (TimeoutError, "", "not reachable: it does not answer in time: check {variable}, the server and the way there."),
    (exceptions.TimeoutError, "", "not reachable: it does not answer in time: check {variable} and the server."),
    (_ANY, "closed by server", "not reachable: it closes the connection: does it want TLS (rediss:// in {variable})?"),
    (exceptions.ResponseError, "unknown command", "not usable: it does not know all commands: Redis 6.2 is needed."),
    (exceptions.ResponseError, "", "not usable: the server refuses to work: look into its log, and check {variable}."),
)


def _refused(connection: Any, needs: Sequence[Need]) -> Mapping[Need, redis.RedisError]:
    connection.send_command("MULTI")
    # If MULTI is refused nothing more is sent: outside a transaction a command would be executed.
    connection.read_response()
    connection.send_packed_command(connection.pack_commands([*(need.words for need in needs), ("DISCARD",)]))
    answers = [_answer(connection) for _ in needs]
    return {need: error for need, error in zip(needs, answers, strict=True) if error}


def _answer(connection: Any) -> redis.RedisError | None:
    try:
        connection.read_response()
    except exceptions.ResponseError as error:
        return error
    return None


_DENIED = re.compile(r"run the '(\w+)'")
"""The command that a user may not run, as the server names it."""


def _first_denied(error: BaseException) -> Need:
    command = _DENIED.search(str(error))
    return Need((command[1] if command else "select",))


def _lacking(url: str, denied: Mapping[Need, BaseException], allowed: Sequence[Need]) -> str:
    """ACL rules, each once: for the commands, and for keys and channels that may not be allowed."""
    rules: dict[str, None] = {}
    for need, error in denied.items():
        if " run the " in str(error):
            name = "|".join(need.words[:2]) if need.words[0] == "SCRIPT" else need.words[0]
            rules["+@transaction" if name == "multi" else f"+{name.lower()}"] = None
    reachable = {need.rule for need in allowed}
    rules.update(dict.fromkeys(need.rule for need in denied if need.rule and need.rule not in reachable))
    return f"not usable: its user lacks rights; grant them with `ACL SETUSER {_user(url)} {' '.join(rules)}`."


def _user(url: str) -> str:
    return unquote(urlsplit(url).username or "default")


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
