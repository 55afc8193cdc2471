"""Asks a provider over HTTP: sends one request about one person, and interprets the response.

TLS is verified, redirects are not followed, and a response is read up to MAX_ANSWER bytes. Any other response is a
failure of the provider, never of the run.
"""

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any
from urllib.parse import quote

import httpx

from pipeline.http_answers import ACCEPTED, read_body
from pipeline.lookup.providers.http_terms import PLACEHOLDER, HttpTerms
from pipeline.lookup.providers.source import UNSCORED, AskLater, Found, NotFound, Person, Reply, Unusable
from pipeline.mail.address.syntax import Address, parse_address
from pipeline.outcomes import Reason

log = logging.getLogger(__name__)

MAX_ANSWER = 256 * 1024
MAX_EVIDENCE = 200
"""Characters kept of one piece of evidence."""
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
"""Failures before the request was sent: these are certainly not charged."""

_PATH = re.compile(r"[^.]+")


class HttpProvider:
    """Asks one provider. `headers` hold the keys, which therefore appear in no log and in no error."""

    def __init__(self, terms: HttpTerms, headers: Mapping[str, str]) -> None:
        # Below this level they log URLs with the person, and headers with the key.
        for logger in ("httpx", "httpcore"):
            logging.getLogger(logger).setLevel(logging.WARNING)
        self._terms = terms
        self._client = httpx.AsyncClient(
            headers={"Accept": "application/json", **ACCEPTED, **headers},
            timeout=terms.timeout,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=terms.at_once),
        )

    def knows_about(self, person: Person) -> bool:
        """Whether the person has all fields that the provider needs."""
        fields = _fields(person)
        return all(fields[name] for name in self._terms.needs)

    async def find(self, person: Person, key: str) -> Reply:
        """Send the request and interpret the response."""
        try:
            async with asyncio.timeout(self._terms.timeout), self._sent(person, key) as response:
                return self._read(response, await read_body(response, MAX_ANSWER) or b"")
        except NEVER_SENT as error:
            return self._failed(error, in_doubt=False)
        except (httpx.HTTPError, TimeoutError) as error:
            return self._failed(error, in_doubt=True)

    async def close(self) -> None:
        await self._client.aclose()

    def _sent(self, person: Person, key: str) -> Any:
        terms, fields = self._terms, _fields(person)
        headers = {terms.idempotency_header: key} if terms.idempotency_header else {}
        query = {name: _filled(text, fields) for name, text in terms.query.items()}
        return self._client.stream(
            terms.method,
            PLACEHOLDER.sub(lambda match: quote(fields[match[1]], safe=""), terms.url),
            params={name: value for name, value in query.items() if value} or None,
            json=None if terms.body is None else _filled_all(terms.body, fields),
            headers=headers,
        )

    def _read(self, response: httpx.Response, content: bytes) -> Reply:
        answers, body = self._terms.answers, _parsed(content)
        word = at_path(body, answers.word) if answers.word else None
        match answers.meaning(response.status_code, None if word is None else str(word)):
            case "found":
                return self._address(body)
            case "not_found":
                return NotFound()
            case "out_of_credit":
                return Unusable(Reason.PROVIDER_OUT_OF_CREDIT)
            case "key_rejected":
                return Unusable(Reason.PROVIDER_KEY_REJECTED)
            case "retry":
                return AskLater(retry_after(response.headers.get("Retry-After")))
            case _:
                log.warning("provider %s answered with status %s", self._terms.name, response.status_code)
                return AskLater(in_doubt=response.is_success)

    def _address(self, body: Any) -> Reply:
        """Read a response that should hold an address. Without one it is a no; if it is not JSON, it is in doubt."""
        if body is None:
            log.warning("provider %s answered with something that is not JSON", self._terms.name)
            return AskLater(in_doubt=True)
        terms = self._terms
        evidence = {name: value for name, path in terms.evidence.items() if (value := _scalar(at_path(body, path)))}
        email = at_path(body, terms.email)
        address = parse_address(email) if isinstance(email, str) and email else None
        if not isinstance(address, Address):
            return NotFound(evidence)
        return Found(str(address), _score(at_path(body, terms.score), terms.score_out_of), evidence)

    def _failed(self, error: Exception, *, in_doubt: bool) -> AskLater:
        log.warning("provider %s did not answer: %s", self._terms.name, type(error).__name__)
        return AskLater(in_doubt=in_doubt)


def at_path(body: Any, path: str) -> Any:
    """Return the value at a dotted path, such as `data.emails.0.value`; None if there is none."""
    for step in _PATH.findall(path):
        if isinstance(body, Mapping):
            body = body.get(step)
        elif isinstance(body, list) and step.isdigit() and int(step) < len(body):
            body = body[int(step)]
        else:
            return None
    return body


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for (RFC 9110 10.2.3); None if there are none."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _scalar(value: Any) -> Any:
    """Return the value if JSON and Postgres can store it."""
    if isinstance(value, str):
        return value[:MAX_EVIDENCE].encode(errors="replace").decode().replace("\0", "")
    return value if isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value)) else None


def _score(value: Any, out_of: float) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return UNSCORED
    if isinstance(value, float) and not isfinite(value):
        return UNSCORED
    return min(100, round(100 * max(0, min(value, out_of)) / out_of))


def _fields(person: Person) -> dict[str, str]:
    given, _, family = person.name.rpartition(" ")
    return {
        "first_name": person.first_name or given,
        "last_name": person.last_name or family,
        "full_name": person.name,
        "domain": person.domain,
        "company": person.company,
    }


def _filled(text: str, fields: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: fields[match[1]], text)


def _filled_all(value: Any, fields: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _filled(value, fields)
    if isinstance(value, Mapping):
        return {key: _filled_all(each, fields) for key, each in value.items()}
    return [_filled_all(each, fields) for each in value] if isinstance(value, list) else value
