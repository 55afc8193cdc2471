"""The values that stages take: plain, immutable, and free of any database.

A *record* is one contact as a stage sees it: what the client sent, plus what earlier stages found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Record:
    """One contact on its way through the stages.

    `position` identifies it within its run. Empty strings mean "not given". `email` is the best address
    known so far (brought by the client or found by an earlier stage) and `evidence` what the earlier stage
    saw when it found it, so that a later stage need not ask again. `deferrals` is how often this stage has put
    the record off already, and `deferred_for` the reason of the last time.
    """

    position: int
    first_name: str = ""
    last_name: str = ""
    full_name: str = ""
    company: str = ""
    domain: str = ""
    email: str | None = None
    deferrals: int = 0
    deferred_for: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PatternCount:
    """How often an address pattern was confirmed at a domain, by this run or by earlier ones."""

    pattern: str
    confirmed: int


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """What an earlier run of the same account heard about an address, and how old that is."""

    evidence: Mapping[str, Any]
    checked_at: datetime
    age_seconds: float


@dataclass(frozen=True, slots=True)
class Batch:
    """What a stage is asked to work at once: neighbours, so that one domain's contacts stand together.

    `known_patterns` maps a domain (A-label form, lower case) to its confirmed patterns, most frequent first.
    `known_answers` maps a normalised address to an answer that is fresh enough to be used again.
    """

    records: Sequence[Record]
    known_patterns: Mapping[str, Sequence[PatternCount]] = field(default_factory=dict)
    known_answers: Mapping[str, KnownAnswer] = field(default_factory=dict)
