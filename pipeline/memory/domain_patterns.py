"""The address patterns that were confirmed and refused at each domain, learned from all runs.

Counts fade, since companies change their patterns and people leave: a count loses half its weight in HALF_LIFE_DAYS.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.domain_pattern import DomainPattern
from pipeline.contacts import PatternCount
from pipeline.lookup.patterns.observations import lessons
from pipeline.outcomes import Outcome

HALF_LIFE_DAYS = 180
"""After two years a count is worth a sixteenth: it still ranks the patterns."""


def known_patterns(session: Session, domains: Sequence[str]) -> Mapping[str, Sequence[PatternCount]]:
    """The patterns of these domains with their counts, most confirmed first."""
    confirmed = (DomainPattern.confirmed * _faded()).label("confirmed")
    rows = session.execute(
        select(DomainPattern.domain, DomainPattern.pattern, confirmed, DomainPattern.refused * _faded())
        .where(DomainPattern.domain.in_(domains))
        .order_by(confirmed.desc(), DomainPattern.pattern)
    )
    found: defaultdict[str, list[PatternCount]] = defaultdict(list)
    for domain, pattern, times_confirmed, times_refused in rows:
        found[domain].append(PatternCount(pattern, times_confirmed, times_refused))
    return found


def learn_patterns(session: Session, outcomes: Iterable[Outcome]) -> None:
    """Count the patterns that mail servers confirmed and refused."""
    learned = lessons(outcomes)
    if not learned:
        return
    # Sorted, so that concurrent chunk tasks lock the rows in one order.
    rows = [
        {"domain": domain, "pattern": pattern, **lesson._asdict()}
        for (domain, pattern), lesson in sorted(learned.items())
    ]
    statement = insert(DomainPattern).values(rows)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["domain", "pattern"],
            set_={
                "confirmed": DomainPattern.confirmed * _faded() + statement.excluded.confirmed,
                "refused": DomainPattern.refused * _faded() + statement.excluded.refused,
                "updated_at": func.now(),
            },
        )
    )


def _faded() -> ColumnElement[float]:
    """The share of a count that is left. An update time in the future counts as now."""
    days = func.extract("epoch", func.now() - DomainPattern.updated_at) / 86_400
    return func.power(0.5, func.greatest(days, 0) / HALF_LIFE_DAYS)
