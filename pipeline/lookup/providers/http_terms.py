"""The configuration of an HTTP provider: its request, and what its responses mean."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.lookup.providers.provider_terms import ProviderTerms

PLACEHOLDER = re.compile(r"\{(\w+)\}")
ENVIRONMENT = re.compile(r"\$\{(\w+)\}")
FIELDS = ("first_name", "last_name", "full_name", "domain", "company")
Status = Annotated[int, Field(ge=100, le=599)]
Words = tuple[Status | str, ...]


class Answers(BaseModel):
    """What a response means, by HTTP status or by the word at the path `word`; the word takes precedence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    word: str = ""
    found: Words = (200,)
    not_found: Words = (204, 404)
    retry: Words = (408, 425, 429, 500, 502, 503, 504)
    out_of_credit: Words = (402,)
    key_rejected: Words = (401, 403)

    def meaning(self, status: int, word: str | None) -> str | None:
        """Return the name of the field that lists this word or status; None if there is none."""
        table = self.model_dump(exclude={"word"})
        by_word = [name for name, words in table.items() if word is not None and word in words]
        by_status = [name for name, words in table.items() if status in words]
        return next(iter([*by_word, *by_status]), None)


class HttpTerms(ProviderTerms):
    """One HTTP provider."""

    method: Literal["GET", "POST"] = "GET"
    url: str
    query: Mapping[str, str] = {}
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = {}
    needs: tuple[Literal["first_name", "last_name", "full_name", "domain", "company"], ...] = ("full_name", "domain")
    email: str = "email"
    score: str = ""
    score_out_of: float = Field(100.0, gt=0)
    evidence: Mapping[str, str] = {}
    answers: Answers = Answers()
    idempotency_header: str = ""

    @field_validator("url")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        parts = urlsplit(url)
        if not parts.hostname or PLACEHOLDER.search(parts.netloc):
            raise ValueError("it must name its host in full")
        if parts.username or parts.password or ENVIRONMENT.search(url):
            raise ValueError("keys belong into headers, as ${NAME_OF_AN_ENVIRONMENT_VARIABLE}: a URL may be logged")
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
            raise ValueError("it must begin with https://")
        return url

    @model_validator(mode="after")
    def _placeholders_are_known(self) -> Self:
        texts = [self.url, *self.query.values(), *_texts(self.body)]
        unknown = {name for text in texts for name in PLACEHOLDER.findall(text)} - set(FIELDS)
        if unknown:
            raise ValueError(f"{{{min(unknown)}}} is no field of a person: use {', '.join(FIELDS)}")
        return self

    @property
    def is_idempotent(self) -> bool:
        """Whether repeating a question is free."""
        return self.repeats_are_free or bool(self.idempotency_header)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in _texts(each)]
    return [text for each in value for text in _texts(each)] if isinstance(value, list) else []
