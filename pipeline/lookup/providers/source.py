"""What a source is: it is asked about one person, and says one of a closed set of things."""

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from pipeline.outcomes import Reason

UNSCORED = 50
"""The score of an address whose source does not say how sure it is."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who is looked for. Empty strings mean "not known"; `domain` is in A-labels, lower case."""

    first_name: str = ""
    last_name: str = ""
    full_name: str = ""
    domain: str = ""
    company: str = ""

    @property
    def name(self) -> str:
        """The name in one piece."""
        return self.full_name or f"{self.first_name} {self.last_name}".strip()

    @property
    def digest(self) -> bytes:
        """SHA-256 of normalised name and domain, or company where there is no domain: equal for the same question."""
        where = self.domain or normalised(self.company)
        return hashlib.sha256(f"{normalised(self.name)}\0{where}".encode()).digest()


@dataclass(frozen=True, slots=True)
class Found:
    """The source knows an address. `score` runs from 0 to 100; `cost` is what the look-up cost."""

    email: str
    score: int = UNSCORED
    evidence: Mapping[str, Any] = field(default_factory=dict)
    cost: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class NotFound:
    """The source knows none."""

    evidence: Mapping[str, Any] = field(default_factory=dict)
    cost: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class AskLater:
    """The source says nothing now: it failed, or asks for patience until `seconds` from now.

    `in_doubt`: it may have been paid all the same, since the request was sent and no answer could be read.
    """

    seconds: float | None = None
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Unusable:
    """The source answers nobody until a person does something: the reason says what."""

    reason: Reason


Reply = Found | NotFound | AskLater | Unusable

LONGEST_NAME = 1000
"""Characters of a name that count: composing letters and marks takes longer than their number says."""


class Source(Protocol):
    """Somebody who may know a person's address. Made once per process, outside any event loop."""

    def knows_about(self, person: Person) -> bool:
        """Whether enough is known of the person to ask."""
        ...

    async def find(self, person: Person, key: str) -> Reply:
        """Ask. `key` is the same whenever the same question is asked again: an idempotency key.

        What it raises counts as a failure in doubt.
        """
        ...

    async def close(self) -> None:
        """Close its connections; it is not asked any more."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a source may be asked; seconds and requests are per worker process.

    `price` is for one look-up, in one currency for all sources. `charges_not_found`: it costs the price also when
    there is no address. `repeats_are_free`: the provider recognises a question that it was asked before.
    `asks_again_in_doubt`: ask again when nobody knows whether the first time was paid. `timeout` bounds one request.
    """

    price: Decimal = Decimal(0)
    charges_not_found: bool = True
    repeats_are_free: bool = False
    asks_again_in_doubt: bool = False
    timeout: float = 10.0
    at_once: int = 10
    per_second: float = 10.0


def normalised(text: str) -> str:
    """The text without differences of case, width and blanks; of one that is no name, the beginning."""
    return " ".join(unicodedata.normalize("NFKC", text[:LONGEST_NAME]).casefold().split())
