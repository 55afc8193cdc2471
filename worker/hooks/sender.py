"""Sends one message to a hook: signed, by one POST, within bounds of time and bytes, whatever the receiver does."""

import asyncio
import logging
import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import httpcore
import httpx
from standardwebhooks.webhooks import Webhook

from pipeline.hooks.deliveries import Attempt, Outgoing, Verdict
from pipeline.lookup.providers.http_provider import retry_after
from pipeline.mail.dns.routes import Resolver
from worker.hooks.addresses import CheckedConnections, NotReachable

MAX_ANSWER = 64 * 1024
"""Bytes of an answer that are read, so that its connection can be used again. Nothing in them counts."""
CONNECTIONS = 500
IDLE_S = 5.0
GONE = 410

_USER_AGENT = f"growth-engine/{version('growth-engine')}"


class Sender:
    """Sends messages. Redirects are not followed, TLS is verified, and a proxy in the environment is not used."""

    def __init__(self, resolver: Resolver, timeout_s: float, tls: ssl.SSLContext | None = None) -> None:
        # They log URLs, which may hold a receiver's secret.
        for logger in ("httpx", "httpcore"):
            logging.getLogger(logger).setLevel(logging.WARNING)
        self._timeout_s = timeout_s
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or httpx.create_ssl_context(),
            max_connections=CONNECTIONS,
            keepalive_expiry=IDLE_S,
            network_backend=CheckedConnections(resolver),
        )

    async def send(self, message: Outgoing) -> Attempt:
        """Send the message and say what came of it. Never raises for what the receiver does."""
        began = time.monotonic()
        status: int | None = None
        wait: float | None = None
        problem = ""
        try:
            async with asyncio.timeout(self._timeout_s):
                status, wait = await self._post(message)
        except TimeoutError:
            problem = f"no answer within {self._timeout_s:g} seconds"
        except NotReachable as error:
            problem = str(error)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            problem = _phrase(error)
        milliseconds = round((time.monotonic() - began) * 1000)
        return Attempt(_verdict(status), status, problem or _problem_of(status), milliseconds, wait)

    async def close(self) -> None:
        await self._pool.aclose()

    async def _post(self, message: Outgoing) -> tuple[int, float | None]:
        url, body = httpx.URL(message.url), message.body.encode()
        async with self._pool.stream(
            "POST",
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=_headers(url, message, body),
            content=body,
        ) as response:
            read = 0
            try:
                async for piece in response.aiter_stream():
                    read += len(piece)
                    if read > MAX_ANSWER:
                        break
            except (httpcore.NetworkError, httpcore.ProtocolError):
                pass  # its status has arrived
            return response.status, _asked_for(response)


def signatures(secrets: Sequence[bytes], webhook_id: str, at: datetime, body: str) -> str:
    """The header `webhook-signature`: one signature for each secret."""
    return " ".join(Webhook(secret).sign(webhook_id, at, body) for secret in secrets)


def _headers(url: httpx.URL, message: Outgoing, body: bytes) -> Sequence[tuple[bytes | str, bytes | str]]:
    at = datetime.now(UTC)
    return [
        ("Host", url.netloc),
        ("User-Agent", _USER_AGENT),
        ("Accept", "*/*"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("webhook-id", message.webhook_id),
        ("webhook-timestamp", str(int(at.timestamp()))),
        ("webhook-signature", signatures(message.secrets, message.webhook_id, at, message.body)),
    ]


def _asked_for(response: httpcore.Response) -> float | None:
    value = next((value for name, value in response.headers if name.lower() == b"retry-after"), None)
    return retry_after(value.decode("latin-1")) if value else None


def _verdict(status: int | None) -> Verdict:
    if status == GONE:
        return Verdict.GONE
    return Verdict.ACCEPTED if status is not None and httpx.codes.is_success(status) else Verdict.FAILED


def _problem_of(status: int | None) -> str:
    if status is None or httpx.codes.is_success(status):
        return ""
    if httpx.codes.is_redirect(status):
        return f"it answered {status}: redirects are not followed, so give the final URL"
    if status == GONE:
        return "it answered 410: it wants no further messages"
    return f"it answered {status}"


def _phrase(error: Exception) -> str:
    """What went wrong, without anything that the receiver sent."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, httpcore.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpcore.ConnectError):
        return "no connection"
    return "its answer is not HTTP, or cut off" if isinstance(error, httpcore.ProtocolError) else "it hung up"
