"""The values that stages take: plain, immutable, and free of any database.

A *record* is one contact as a stage sees it: what the client sent, plus what earlier stages found.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from pipeline.evidence import NO_EVIDENCE, Evidence, KnownLookup


class Contact(NamedTuple):
    """One contact on its way through the stages.

    `position` identifies it within its run. Empty strings mean "not given". `email` is the best address
    known so far (supplied by the client or found by an earlier stage) and `evidence` what the earlier stage
    saw when it found it, so that a later stage need not ask again. `deferrals` is how often this stage has put
    the contact off already, and `deferred_for` the reason of the last time.
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
    """How many people an address pattern was confirmed for at a domain, and how many it was refused for.

    By this run or by earlier ones; what is long ago counts less, so the counts need not be whole.
    """

    pattern: str
    confirmed: float = 0.0
    refused: float = 0.0


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """What is known of somebody: the digest of their address, None if there is none, the reason, and the evidence."""

    mailbox: bytes | None
    reason: str
    score: int
    evidence: KnownLookup


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """What an earlier run of the same account heard about an address, and how old that is."""

    evidence: Evidence
    checked_at: datetime
    age_seconds: float


@dataclass(frozen=True, slots=True)
class Batch:
    """What a stage is asked to work at once: neighbours, so that one domain's contacts stand together.

    `known_patterns` maps a domain (A-label form, lower case) to its patterns, most confirmed first. `known_answers`
    maps a normalised address to an answer that is fresh enough to be used again. `known_people` are those whom an
    earlier run of the same account looked up lately, by `pipeline.lookup.search.recall.person_digest`. `taken` are the
    addresses that this run has found already for others at the same domains, `colleagues` contacts at the same domains
    who are worked elsewhere and have no address yet.
    """

    contacts: Sequence[Contact]
    known_patterns: Mapping[str, Sequence[PatternCount]] = field(default_factory=dict)
    known_answers: Mapping[str, KnownAnswer] = field(default_factory=dict)
    known_people: Mapping[bytes, KnownPerson] = field(default_factory=dict)
    taken: Collection[str] = ()
    colleagues: Sequence[Contact] = ()
