"""Probes through a remote verifier over HTTP instead of mail servers, for machines without access to port 25.

The service must implement Reacher's `POST /v1/check_email` (or `/v0/check_email`). To a stage it looks like a
conversation with the domain's own servers.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import NamedTuple, Self

import httpx
from pydantic import ValidationError

from pipeline.http_answers import ACCEPTED, read_body
from pipeline.mail.caching.ttl_cache import TtlCache
from pipeline.mail.catch_all import random_local_part
from pipeline.mail.config import MailNetworkConfig, RemoteVerifierConfig
from pipeline.mail.outage import FailuresInARow, Outage
from pipeline.mail.reacher.response import RemoteOutput
from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.meaning import CONCLUSIVE, Meaning
from pipeline.mail.stopwatch import Stopwatch

WAITED_HERE = 10.0
"""Seconds of Retry-After that are waited out in place; after a longer wait the contact is deferred."""
RETRY_AFTER_UNSTATED = 60.0
MAX_ANSWER = 64 * 1024
"""Bytes of a response that are read; Reacher's have one or two thousand."""
REMEMBERED = 600.0
"""Seconds for which answers are cached: the next stage need not send the same request again."""
ADDRESSES_REMEMBERED = 20_000
REFUSALS = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED)
"""Statuses for a missing or wrong key or path, which are the same for every address."""

TOO_MANY = 429
"""The code of an answer that may change: as an SMTP code, it is transient as well."""

VERIFIER_UNREACHABLE = Outage(
    "verifier_unreachable",
    "The remote verifier does not answer. Check VERIFIER_URL and that the service runs"
    " (`growth doctor --mail-domain` with a domain of your own tells), then try again.",
)
VERIFIER_REFUSES = Outage(
    "verifier_refuses",
    "The remote verifier refuses our requests. Check VERIFIER_HEADER, which holds the key to it, and the path in"
    " VERIFIER_URL, then try again.",
)


class RemoteAnswer(NamedTuple):
    """The verifier's answer about an address, and whether its domain is a catch-all, if it says so."""

    answer: Answer
    catch_all: bool | None = None


class RemoteVerifier:
    """The HTTP client of a process, and the state of the verifier. Used from one event loop."""

    def __init__(self, config: RemoteVerifierConfig) -> None:
        self.name = httpx.URL(config.url).host
        self.at_once = config.at_once
        self._url = config.url
        self._failures = FailuresInARow()
        self._refuses_us = False
        self._slots = asyncio.Semaphore(config.at_once)
        self._known: TtlCache[str, RemoteAnswer] = TtlCache(ADDRESSES_REMEMBERED)
        self._http = httpx.AsyncClient(
            headers=[*ACCEPTED.items(), *([config.header] if config.header else [])],
            limits=httpx.Limits(max_connections=config.at_once),
            timeout=None,  # noqa: S113 - `check` limits the time of each request as a whole
            trust_env=False,
        )

    @property
    def outage(self) -> Outage | None:
        """The outage, if the verifier does not answer or refuses our requests."""
        if self._refuses_us:
            return VERIFIER_REFUSES
        return VERIFIER_UNREACHABLE if self._failures.is_outage else None

    @property
    def has_answered(self) -> bool:
        """Whether it has answered at least once."""
        return self._failures.successes > 0

    async def check(self, domain: str, address: str, seconds: float) -> RemoteAnswer:
        """Return the verifier's answer about an address within `seconds`, not counting the wait for a slot."""
        known = self._known.get(address)
        if known is not None:
            return known
        async with self._slots:
            try:
                async with asyncio.timeout(seconds):
                    result = await self._request(domain, address)
            except TimeoutError:
                return self._nothing(Meaning.TIME_LIMIT, "no answer within the time limit for one contact")
        if result.answer.meaning in CONCLUSIVE:
            self._known.put(address, result, REMEMBERED)
        return result

    async def close(self) -> None:
        await self._http.aclose()

    async def _request(self, domain: str, address: str) -> RemoteAnswer:
        """Send the request, and repeat it after the wait that the verifier asks for, if that is short."""
        successes = self._failures.successes
        while True:
            asked_at, started = datetime.now(UTC), asyncio.get_running_loop().time()
            try:
                async with self._http.stream("POST", self._url, json={"to_email": address}) as response:
                    content = await read_body(response, MAX_ANSWER)
            except httpx.TransportError as error:
                self._failures.failed(domain, successes_before=successes)
                return self._nothing(Meaning.UNREACHABLE, f"it does not answer ({type(error).__name__})")
            wait = _asks_to_wait(response)
            if wait is None:
                seconds = asyncio.get_running_loop().time() - started
                return self._read(response, content or b"", address, domain, successes, asked_at, seconds)
            self._failures.succeeded()
            if wait > WAITED_HERE:
                return self._nothing(Meaning.RATE_LIMITED, f"try again in {wait:.0f} seconds", TOO_MANY)
            await asyncio.sleep(wait)

    def _read(
        self,
        response: httpx.Response,
        content: bytes,
        address: str,
        domain: str,
        successes_before: int,
        asked_at: datetime,
        seconds: float,
    ) -> RemoteAnswer:
        if response.status_code in REFUSALS:
            self._refuses_us = True
            return self._nothing(Meaning.UNREACHABLE, f"HTTP {response.status_code}: it refuses our requests")
        try:
            response.raise_for_status()
            output = RemoteOutput.model_validate_json(content)
        except (httpx.HTTPStatusError, ValidationError):
            self._failures.failed(domain, successes_before=successes_before)
            return self._nothing(Meaning.UNCLEAR, f"HTTP {response.status_code}, and nothing that can be read")
        self._failures.succeeded()
        return RemoteAnswer(output.as_answer(self.name, address, asked_at, seconds), output.is_catch_all)

    def _nothing(self, meaning: Meaning, why: str, code: int = 0) -> RemoteAnswer:
        return RemoteAnswer(Answer(meaning, code, f"{self.name}: {why}", self.name, datetime.now(UTC)))


class RemoteProber:
    """A `Prober` for one domain that uses the remote verifier."""

    def __init__(self, domain: str, verifier: RemoteVerifier, config: MailNetworkConfig, stopwatch: Stopwatch) -> None:
        self.domain = domain
        self._verifier = verifier
        self._config = config
        self._seconds_each, self._is_first_group = stopwatch.left, True
        self._random_address = f"{random_local_part(domain, config.mail_from)}@{domain}"
        self._catch_all: bool | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is no connection to close."""

    def restart_clock(self) -> None:
        """Each probe has its own time limit; those of the first group have what finding the route left over."""
        if self._is_first_group:
            self._is_first_group = False
        else:
            self._seconds_each = self._config.contact_timeout

    @property
    def probes_in_time(self) -> int:
        """As many as are sent at the same time."""
        return self._verifier.at_once

    def expect_no_more(self) -> None:
        """There is no session to end."""

    def hang_up(self) -> None:
        """There is no connection to close."""

    async def probe(self, addresses: Iterable[str]) -> Mapping[str, Answer]:
        """Return an answer for every address, even if the verifier gave none.

        The random address comes last: the answers about the others may already tell about it.
        """
        unique = dict.fromkeys(addresses)
        real = [address for address in unique if address != self._random_address]
        answers = dict(zip(real, await asyncio.gather(*map(self._probe, real)), strict=True))
        if self._random_address in unique:
            late = next((answer for answer in answers.values() if answer.meaning is Meaning.TIME_LIMIT), None)
            answers[self._random_address] = late or await self._probe(self._random_address)
        return answers

    async def _probe(self, address: str) -> Answer:
        if address == self._random_address and self._catch_all is not None:
            return self._answer_for_random_address(self._catch_all)
        result = await self._verifier.check(self.domain, address, self._seconds_each)
        if result.catch_all is not None:
            self._catch_all = result.catch_all
        return result.answer

    def _answer_for_random_address(self, catch_all: bool) -> Answer:  # noqa: FBT001 - it is what is known, not how to do it
        """Answer for the random address: the answer about a real one shows whether the domain is a catch-all."""
        meaning = Meaning.ACCEPTED if catch_all else Meaning.NO_SUCH_MAILBOX
        text = f"{self._verifier.name} says: is_catch_all is {str(catch_all).lower()}"
        return Answer(meaning, 0, text, self._verifier.name, datetime.now(UTC), denied=not catch_all)


def _asks_to_wait(response: httpx.Response) -> float | None:
    """Return the seconds to wait before the request is repeated (RFC 9110 10.2.3, RFC 6585 4); None if it succeeded."""
    stated = response.headers.get("Retry-After", "")
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE and not stated:
        return None
    if response.status_code not in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE):
        return None
    if stated.isascii() and stated.isdigit():
        return float(stated[:9])
    try:
        return max(0.0, (parsedate_to_datetime(stated) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return RETRY_AFTER_UNSTATED
