"""People whose address an earlier run found, or found out that there is none.

Neither names nor addresses are kept for that, only digests: who is asked about again is recognised, and their address
is the one of their candidates that has the digest.
"""

import hashlib

from pipeline.contacts import KnownPerson
from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.candidates import Candidate
from pipeline.lookup.patterns.patterns import local_parts


def person_digest(domain: str, name: Name) -> bytes:
    """Tell a person of a domain from all others, without saying who it is."""
    spelled = sorted(f"{reading.first} {reading.last}" for reading in name.readings)
    return hashlib.sha256("\0".join([domain, *spelled]).encode()).digest()


def mailbox_digest(email: str) -> bytes:
    """Tell an address from all others, without saying which it is."""
    return hashlib.sha256(email.encode()).digest()


def recall(known: KnownPerson, domain: str, name: Name) -> Candidate | None:
    """Find the address of somebody among their candidates; None if there is none, or names are read anew since."""
    if known.mailbox is None:
        return None
    for local_part in local_parts(name):
        if mailbox_digest(f"{local_part}@{domain}") == known.mailbox:
            return Candidate(local_part, known.evidence.pattern, known.score / 100)
    return None
