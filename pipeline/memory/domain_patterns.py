"""What runs teach about domains: which address patterns were confirmed and refused there. It outlives the runs.

It fades: companies change their ways, and people leave. A count loses half its weight in HALF_LIFE_DAYS, when it is
read and when it is added to.
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
"""Two years make one address in sixteen of what ten counted: it still says which pattern to ask first."""


def known_patterns(session: Session, domains: Sequence[str]) -> Mapping[str, Sequence[PatternCount]]:
    """The confirmed and refused patterns of these domains, most confirmed first."""
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
    """Count each pattern that a mail server confirmed, and each that it refused for somebody."""
    learned = lessons(outcomes)
    if not learned:
        return
    # Sorted, so that chunk tasks which learn about the same domains lock the rows in the same order.
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
    """The share that is left of a count; an update from a clock ahead of ours has not faded."""
    days = func.extract("epoch", func.now() - DomainPattern.updated_at) / 86_400
    return func.power(0.5, func.greatest(days, 0) / HALF_LIFE_DAYS)
