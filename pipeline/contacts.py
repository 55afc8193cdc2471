"""The input of stages: plain, immutable values."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from pipeline.evidence import NO_EVIDENCE, Evidence, KnownLookup


class Contact(NamedTuple):
    """One contact as a stage sees it: what the client sent, plus what earlier stages found.

    `position` identifies it within its run. Empty strings mean "not given". `email` is the best address known so
    far, supplied by the client or found by an earlier stage, and `evidence` is that stage's, so that a later one need
    not probe again. `deferrals` counts how often this stage has deferred the contact, and `deferred_for` is the reason
    of the last time.
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
    evidence: Evidence = NO_EVIDENCE


@dataclass(frozen=True, slots=True)
class PatternCount:
    """For how many people an address pattern was confirmed at a domain, and for how many it was refused.

    This run and earlier ones count. Older results count less, so the counts need not be whole numbers.
    """

    pattern: str
    confirmed: float = 0.0
    refused: float = 0.0


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """The result of an earlier look-up. `mailbox` is the digest of the address, None if none was found."""

    mailbox: bytes | None
    reason: str
    score: int
    evidence: KnownLookup


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """The reply that an earlier run of the same account got about an address, and its age."""

    evidence: Evidence
    checked_at: datetime
    age_seconds: float


@dataclass(frozen=True, slots=True)
class Batch:
    """The contacts that a stage works in one call. Contacts of one domain stand together.

    `known_patterns` maps a domain (A-label form, lower case) to its patterns, most confirmed first. `known_answers`
    maps a normalised address to an answer that is fresh enough to be reused. `known_people` maps
    `pipeline.lookup.search.recall.person_digest` to the result of a recent look-up by the same account. `taken` holds
    the addresses that this run has found for other contacts of the same domains, `colleagues` the contacts of the same
    domains that are in other chunks and have no address yet.
    """

    contacts: Sequence[Contact]
    known_patterns: Mapping[str, Sequence[PatternCount]] = field(default_factory=dict)
    known_answers: Mapping[str, KnownAnswer] = field(default_factory=dict)
    known_people: Mapping[bytes, KnownPerson] = field(default_factory=dict)
    taken: Collection[str] = ()
    colleagues: Sequence[Contact] = ()
