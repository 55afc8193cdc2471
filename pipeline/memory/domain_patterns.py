"""The address patterns that were confirmed and refused at each domain, learned from all runs.

Counts fade, since companies change their patterns and people leave: a count loses half its weight in HALF_LIFE_DAYS.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from pipeline.contacts import PatternCount
from pipeline.lookup.patterns.observations import lessons
from pipeline.outcomes import Outcome

HALF_LIFE_DAYS = 180
"""After two years a count is worth a sixteenth: it still ranks the patterns."""


# The share of a count that is left. An update time in the future counts as now.
LEFT = f"""
power(CAST(0.5 AS float), CAST(greatest(extract(epoch FROM now() - d.updated_at), 0) AS float)
  / (86400.0 * {HALF_LIFE_DAYS}))
"""

KNOWN = text(f"""
SELECT d.domain, d.pattern, d.confirmed * {LEFT} AS confirmed, d.refused * {LEFT} AS refused
FROM domain_patterns d WHERE d.domain = ANY(:domains)
ORDER BY confirmed DESC, d.pattern
""")  # noqa: S608 - a constant of ours

# In one order, so that concurrent transactions lock the rows in one order.
LEARN = text(f"""
INSERT INTO domain_patterns AS d (domain, pattern, confirmed, refused)
SELECT r.domain, r.pattern, r.confirmed, r.refused
FROM unnest(CAST(:domains AS text[]), CAST(:patterns AS text[]), CAST(:confirmed AS float[]), CAST(:refused AS float[]))
  AS r(domain, pattern, confirmed, refused)
ORDER BY r.domain, r.pattern
ON CONFLICT (domain, pattern) DO UPDATE SET
  confirmed = d.confirmed * {LEFT} + excluded.confirmed, refused = d.refused * {LEFT} + excluded.refused,
  updated_at = now()
""")  # noqa: S608 - a constant of ours


def known_patterns(session: Session, domains: Sequence[str]) -> Mapping[str, Sequence[PatternCount]]:
    """The patterns of these domains with their counts, most confirmed first."""
    found: defaultdict[str, list[PatternCount]] = defaultdict(list)
    for domain, *counts in session.execute(KNOWN, {"domains": list(domains)}) if domains else ():
        found[domain].append(PatternCount(*counts))
    return found


def learn_patterns(session: Session, outcomes: Iterable[Outcome]) -> None:
    """Count the patterns that mail servers confirmed and refused."""
    learned = lessons(outcomes)
    if not learned:
        return
    domains, patterns = zip(*learned, strict=True)
    confirmed, refused = zip(*learned.values(), strict=True)
    columns = {"domains": domains, "patterns": patterns, "confirmed": confirmed, "refused": refused}
    session.execute(LEARN, {name: list(values) for name, values in columns.items()})
