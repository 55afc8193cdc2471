"""The broker: how Celery connects to it, and why it does not accept messages."""

import logging
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import kombu.transport
import redis.connection
from amqp.exceptions import AccessRefused, NotAllowed, NotFound
from kombu import Connection, Queue
from kombu.transport import redis as redis_transport
from redis.exceptions import NoPermissionError

from models.redis_server import Need, find_trouble, why
from models.redis_url import celery_url, database_of
from settings import Settings

QUEUE = "growth"
VISIBILITY_TIMEOUT_S = 900
"""Seconds after which Redis delivers a message again that was not acknowledged: longer than a task on a stage takes.

Nothing waits for it: when a worker is killed its leases run out within seconds, and the sweeper sends the chain.
"""

# A publish is done when the broker has confirmed it. One that is lost on a broken connection is noticed and sent again.
RABBITMQ_TRANSPORT = {"confirm_publish": True}

REDIS_TRANSPORT = {
    "visibility_timeout": VISIBILITY_TIMEOUT_S,
    # Messages of a dead worker are restored within seconds, not minutes.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    # A publish must not wait forever on a dead connection.
    "socket_timeout": 30,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
}

REDIS_NEEDS = (
    Need(("PING",)),
    *(Need((command, QUEUE, *rest), f"~{QUEUE}*") for command, *rest in (
        ("LPUSH", ""), ("RPUSH", ""), ("BRPOP", "1"), ("LLEN",),
    )),
    *(Need((command, "unacked_index", *rest), "~unacked*") for command, *rest in (
        ("ZADD", "1", "a"), ("ZREM", "a"), ("ZRANGE", "1", "0", "BYSCORE", "REV"),
    )),
    *(Need((command, "unacked", "a", *rest), "~unacked*") for command, *rest in (("HSET", ""), ("HGET",), ("HDEL",))),
    Need(("SET", "unacked_mutex", "a", "NX", "PX", "1"), "~unacked*"),
    Need(("EVALSHA", "0" * 40, "1", "unacked_mutex", "a"), "~unacked*"),
    *(Need((command, "unacked_mutex"), "~unacked*") for command in ("GET", "DEL")),
    Need(("SCRIPT", "LOAD", "return 0")),
    Need(("SCRIPT", "EXISTS", "0" * 40)),
    *(Need((command, f"_kombu.binding.{QUEUE}", *rest), "~_kombu.*") for command, *rest in (
        ("SADD", "a"), ("SMEMBERS",), ("SREM", "a"), ("EXISTS",), ("ZRANGEBYSCORE", "0", "1"),
    )),
    *(Need((command, "reply.celery.pidbox\x06\x163", *rest), "~*.pidbox*") for command, *rest in (
        ("LPUSH", ""), ("BRPOP", "1"), ("LLEN",), ("DEL",),
    )),
    Need(("LLEN", "celeryev.a"), "~celeryev*"),
    Need(("TIME",)),
    Need(("EXISTS", "growth:broker_marker"), f"~{QUEUE}*"),
)  # fmt: skip
"""The commands of Celery's Redis transport and of the broker marker."""

log = logging.getLogger(__name__)


def connection_settings(url: str) -> Mapping[str, Any]:
    """Celery's settings that locate the broker."""
    if is_rabbitmq(url):
        plain, tls = _without_certificates(url)
        return {"broker_url": plain, "broker_use_ssl": tls, "broker_transport_options": RABBITMQ_TRANSPORT}
    options = redis.connection.parse_url(url)  # type: ignore[no-untyped-call]
    known = {name: options[name] for name in redis_transport.Channel.from_transport_options if name in options}
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    if url.startswith("rediss:"):
        # Without it kombu would accept any certificate.
        tls.setdefault("ssl_cert_reqs", "required")
    return {
        "broker_url": celery_url(url),
        "broker_use_ssl": tls or None,
        "broker_transport_options": REDIS_TRANSPORT | known,
    }


def _without_certificates(url: str) -> tuple[str, dict[str, Any] | None]:
    """An `amqps://` URL without options such as `ssl_ca_certs`, and these options in Celery's form."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    tls: dict[str, Any] = {name.removeprefix("ssl_"): options.pop(name) for name in list(options) if name[:4] == "ssl_"}
    if not tls:
        return url, None
    required = tls.get("cert_reqs", "required").lower().removeprefix("cert_")
    tls["cert_reqs"] = ssl.VerifyMode[f"CERT_{required.upper()}"]
    return f"{url.partition('?')[0]}{'?' if options else ''}{urlencode(options)}", tls


def is_rabbitmq(url: str) -> bool:
    """Whether a broker's URL is RabbitMQ's."""
    return url.startswith("amqp")


class Channel(redis_transport.Channel):
    """kombu's channel, which also serves users without rights on Redis's channels.

    Only operators need those channels: for Flower's events, and for commands such as `celery inspect`.
    """

    def _put_fanout(self, *args: Any, **kwargs: Any) -> None:
        with suppress(NoPermissionError):
            super()._put_fanout(*args, **kwargs)  # type: ignore[misc]

    def _receive_one(self, c: Any) -> Any:
        try:
            return super()._receive_one(c)  # type: ignore[misc]
        except NoPermissionError:
            log.warning("Flower and `celery inspect` do not see this worker: `growth doctor` says what to grant")
            return None


class Transport(redis_transport.Transport):
    """kombu's transport with our channel."""

    Channel = Channel


# Registered by name: for URLs of sockets Celery takes no other transport.
kombu.transport.TRANSPORT_ALIASES.update(redis=f"{__name__}:Transport", rediss=f"{__name__}:Transport")


def find_broker_trouble(settings: Settings, timeout_s: float) -> str | None:
    """What keeps the broker from accepting and delivering messages; none if nothing does."""
    url = settings.celery_broker_url
    if is_rabbitmq(url):
        return _find_rabbitmq_trouble(settings, timeout_s)
    trouble = find_trouble(url, _variable(settings), REDIS_NEEDS, timeout_s)
    return trouble and _with_origin(trouble, settings)


def find_unseen(settings: Settings, timeout_s: float) -> str | None:
    """What keeps Flower and `celery inspect` from seeing workers; none if nothing does."""
    url = settings.celery_broker_url
    if is_rabbitmq(url):
        return None
    topics = [f"/{database_of(url)}.{name}" for name in ("celeryev/*", "celery.pidbox")]
    needs = [Need(words, f"&{topic}") for topic in topics for words in (("PUBLISH", topic, ""), ("PSUBSCRIBE", topic))]
    return find_trouble(url, _variable(settings), needs, timeout_s)


def why_not_sent(error: BaseException, settings: Settings) -> str:
    """Why a message could not be sent, and what to do. The text begins with "not"."""
    cause, url, variable = error.__cause__ or error, settings.celery_broker_url, _variable(settings)
    if not is_rabbitmq(url):
        return _with_origin(why(cause, url, variable), settings)
    if isinstance(cause, AccessRefused):
        return f"not usable: the server refuses the user or password in {variable}, or what that user wants to do."
    if isinstance(cause, NotAllowed):
        return f"not usable: the server has no such vhost, or the user in {variable} may not use it."
    return why(cause, "", variable)


def _variable(settings: Settings) -> str:
    return "BROKER_URL" if settings.broker_url else "REDIS_URL"


def _with_origin(trouble: str, settings: Settings) -> str:
    """Add which setting the broker's database number comes from, if the server has no such database."""
    if settings.broker_url or "no database" not in trouble:
        return trouble
    number = database_of(settings.celery_broker_url)
    return f"{trouble} Unless BROKER_URL is set, the broker is REDIS_URL with database {number}."


def _find_rabbitmq_trouble(settings: Settings, timeout_s: float) -> str | None:
    try:
        timeouts = {"read_timeout": timeout_s, "write_timeout": timeout_s}
        url, tls = _without_certificates(settings.celery_broker_url)
        with Connection(url, ssl=tls or False, connect_timeout=timeout_s, transport_options=timeouts) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, interval_max=0)
            with suppress(NotFound):
                Queue(QUEUE, channel=connection.default_channel).queue_declare(passive=True)
    except Exception as error:  # noqa: BLE001 - any error means that the broker is unusable
        return why_not_sent(error, settings)
    return None
