"""The interface of a source: it is asked about one person, and returns one of a closed set of replies."""

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from pipeline.outcomes import Reason

UNSCORED = 50
"""The score of an address whose source gives none."""


@dataclass(frozen=True, slots=True)
class Person:
    """The person to find. Empty strings mean "unknown"; `domain` is in lower-case A-labels."""

    first_name: str = ""
    last_name: str = ""
    full_name: str = ""
    domain: str = ""
    company: str = ""

    @property
    def name(self) -> str:
        """The full name."""
        return self.full_name or f"{self.first_name} {self.last_name}".strip()

    @property
    def digest(self) -> bytes:
        """SHA-256 of the normalised name and domain (or company, if there is no domain): one for each question."""
        where = self.domain or normalised(self.company)
        return hashlib.sha256(f"{normalised(self.name)}\0{where}".encode()).digest()


@dataclass(frozen=True, slots=True)
class Found:
    """The source knows an address. `score` is from 0 to 100; `cost` is that of the look-up."""

    email: str
    score: int = UNSCORED
    evidence: Mapping[str, Any] = field(default_factory=dict)
    cost: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class NotFound:
    """The source knows no address."""

    evidence: Mapping[str, Any] = field(default_factory=dict)
    cost: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class AskLater:
    """The source has no answer now: it failed, or asks to wait for `seconds`.

    `in_doubt` says that the request was sent and may have been charged, although no answer could be read.
    """

    seconds: float | None = None
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Unusable:
    """The source answers no question until its operator acts; the reason says on what."""

    reason: Reason


Reply = Found | NotFound | AskLater | Unusable

LONGEST_NAME = 1000
"""Characters of a name that are read: composing letters and marks takes more than linear time."""


class Source(Protocol):
    """May know a person's address. It is created once per process, outside any event loop."""

    def knows_about(self, person: Person) -> bool:
        """Whether enough is known about the person to ask."""
        ...

    async def find(self, person: Person, key: str) -> Reply:
        """Ask about the person. `key` is an idempotency key: it is the same whenever the question is repeated.

        An exception counts as a failure in doubt.
        """
        ...

    async def close(self) -> None:
        """Close its connections; it is not asked again."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a source; rates are per worker process, times in seconds.

    `price` is that of one look-up; all sources have the same currency. `charges_not_found` says that a look-up
    without an address is charged, `repeats_are_free` that a repeated question is not. With `asks_again_in_doubt` a
    question that may have been charged is repeated. `timeout` is that of one request.
    """

    price: Decimal = Decimal(0)
    charges_not_found: bool = True
    repeats_are_free: bool = False
    asks_again_in_doubt: bool = False
    timeout: float = 10.0
    at_once: int = 10
    per_second: float = 10.0


def normalised(text: str) -> str:
    """Return the text without differences in case, width and blanks; only its first LONGEST_NAME characters."""
    return " ".join(unicodedata.normalize("NFKC", text[:LONGEST_NAME]).casefold().split())
