"""Recalls the people whose address an earlier run found, or for whom it found none.

Neither names nor addresses are kept for this, only digests. A person is recognised by theirs, and their address is the
candidate with the right digest.
"""

import hashlib

from pipeline.contacts import KnownPerson
from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.candidates import Candidate
from pipeline.lookup.patterns.patterns import local_parts


def person_digest(domain: str, name: Name) -> bytes:
    """Return a digest that identifies a person of a domain to those who know the name.

    It begins with the domain's, so that the people of a domain stand together.
    """
    spelled = sorted(f"{reading.first} {reading.last}" for reading in name.readings)
    return domain_digest(domain) + hashlib.sha256("\0".join([domain, *spelled]).encode()).digest()[:24]


def domain_digest(domain: str) -> bytes:
    """Return the eight bytes with which the digests of a domain's people begin."""
    return hashlib.sha256(domain.encode()).digest()[:8]


def mailbox_digest(email: str) -> bytes:
    """Return a digest that identifies an address to those who know it."""
    return hashlib.sha256(email.encode()).digest()


def recall(known: KnownPerson, domain: str, name: Name) -> Candidate | None:
    """Return the candidate with the known digest; None if there is none, such as after a change of the name parser."""
    if known.mailbox is None:
        return None
    for local_part in local_parts(name):
        if mailbox_digest(f"{local_part}@{domain}") == known.mailbox:
            return Candidate(local_part, known.evidence.pattern, known.score / 100)
    return None
