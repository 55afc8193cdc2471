"""The outcomes of the look-up, each with its source, its score and its evidence."""

from pipeline.contacts import Contact, KnownPerson
from pipeline.evidence import Evidence, SearchEvidence
from pipeline.lookup.patterns.candidates import Candidate
from pipeline.lookup.search.conclusions import Finding
from pipeline.lookup.search.recall import person_digest
from pipeline.mail.address.syntax import Address
from pipeline.outcomes import Outcome, OutcomeStatus, Reason

SUPPLIED_SCORE = 50
"""The score of a supplied address, which has not been verified yet."""
STRANGER = 0.01
"""The chance that a guessed local part belongs to somebody else with a similar name."""
INFERRED = "inferred"
"""The source of an address inferred from the domain's pattern, which its catch-all server can not confirm."""
INFERRED_AT_MOST = 70
"""The highest score of an inferred address: less than that of one that a server confirmed."""


def as_supplied(contact: Contact, address: Address, pattern: str | None) -> Outcome:
    """Return the address that the contact supplied, as it is."""
    return Outcome(
        contact.position,
        OutcomeStatus.FOUND,
        Reason.INPUT,
        email=str(address),
        source="input",
        score=SUPPLIED_SCORE,
        evidence=Evidence(pattern=pattern or ""),
    )


def found_out(contact: Contact, domain: str, finding: Finding) -> Outcome:
    """Return what the search found, with what later runs may learn from it."""
    candidate = finding.candidate
    search = SearchEvidence(finding.probes, domain, person_digest(domain, finding.name), finding.refused)
    evidence = Evidence(reply=finding.answer.evidence if finding.answer else None, search=search)
    if candidate is None:
        return Outcome(contact.position, OutcomeStatus.NOT_FOUND, finding.reason, evidence=evidence)
    return Outcome(
        contact.position,
        OutcomeStatus.FOUND,
        finding.reason,
        email=f"{candidate.local_part}@{domain}",
        source=_source(finding),
        score=_score(candidate.probability, catch_all=finding.catch_all),
        evidence=evidence._replace(
            catch_all=finding.catch_all, pattern=candidate.pattern, confidence=round(candidate.probability, 2)
        ),
    )


def _source(finding: Finding) -> str:
    if finding.catch_all:
        return INFERRED
    return "pattern" if finding.by_pattern else "permutation"


def remembered(contact: Contact, domain: str, known: KnownPerson, candidate: Candidate | None) -> Outcome:
    """Return the outcome of an earlier run; `email_verify` checks whether the mailbox still exists."""
    evidence = Evidence(known=known.evidence)
    if candidate is None:
        return Outcome(contact.position, OutcomeStatus.NOT_FOUND, Reason(known.reason), evidence=evidence)
    return Outcome(
        contact.position,
        OutcomeStatus.FOUND,
        Reason(known.reason),
        email=f"{candidate.local_part}@{domain}",
        source="known",
        score=known.score,
        evidence=evidence._replace(pattern=candidate.pattern),
    )


def _score(probability: float, *, catch_all: bool | None) -> int:
    """Score how certainly the address is the person's: once a server accepts it, only a namesake's is possible."""
    if catch_all:
        return min(INFERRED_AT_MOST, round(100 * probability))
    return round(100 * probability / (probability + STRANGER))


def suppressed(position: int) -> Outcome:
    """Return the outcome of a contact on the suppression list."""
    return Outcome(position, OutcomeStatus.NOT_FOUND, Reason.SUPPRESSED)


def not_found(contact: Contact, reason: Reason) -> Outcome:
    """Return the outcome of a contact without an address, for this reason."""
    return Outcome(contact.position, OutcomeStatus.NOT_FOUND, reason)
