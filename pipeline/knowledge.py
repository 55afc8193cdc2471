"""What runs teach about domains: which address patterns were confirmed there. It outlives the runs."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.domain_pattern import DomainPattern
from pipeline.outcomes import Outcome
from pipeline.records import PatternCount


def known_patterns(session: Session, domains: Sequence[str]) -> Mapping[str, Sequence[PatternCount]]:
    """The confirmed patterns of these domains, most frequent first."""
    rows = session.execute(
        select(DomainPattern.domain, DomainPattern.pattern, DomainPattern.confirmed)
        .where(DomainPattern.domain.in_(domains))
        .order_by(DomainPattern.confirmed.desc(), DomainPattern.pattern)
    )
    found: defaultdict[str, list[PatternCount]] = defaultdict(list)
    for domain, pattern, confirmed in rows:
        found[domain].append(PatternCount(pattern, confirmed))
    return found


def learn_patterns(session: Session, outcomes: Iterable[Outcome]) -> None:
    """Count each pattern that a mail server confirmed."""
    confirmed = Counter(key for outcome in outcomes if (key := _confirmed_pattern(outcome)))
    if not confirmed:
        return
    # Sorted, so that lanes which learn about the same domains lock the rows in the same order.
    rows = [
        {"domain": domain, "pattern": pattern, "confirmed": count}
        for (domain, pattern), count in sorted(confirmed.items())
    ]
    statement = insert(DomainPattern).values(rows)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["domain", "pattern"],
            set_={
                "confirmed": DomainPattern.confirmed + statement.excluded.confirmed,
                "updated_at": func.now(),
            },
        )
    )


def _confirmed_pattern(outcome: Outcome) -> tuple[str, str] | None:
    """Domain and pattern, if a server confirmed it: not what a contact brought, not a catch-all's yes."""
    pattern = outcome.evidence.get("pattern")
    if not pattern or not outcome.email or outcome.source == "input" or outcome.evidence.get("catch_all"):
        return None
    return outcome.email.rpartition("@")[2], pattern
