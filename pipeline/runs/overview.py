"""What operators see: the runs of all accounts that are active, the workers that hold chunks, hosts that refuse us.

No names and addresses of contacts, and no text of a mail server, which may repeat them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from models.status import RunStatus
from pipeline.outcomes import Reason
from pipeline.runs.progress import StageCount, percent

MOST_RUNS = 50
MOST_WORKERS = 200
MOST_HOSTS = 20
RUNS_SEARCHED = 200
CONTACTS_SEARCHED = 200_000
"""Outcomes are in no index by host: those of the newest runs are searched, up to so many contacts."""
REFUSING = (Reason.BLOCKED, Reason.RATE_LIMITED, Reason.POLICY, Reason.GREYLISTED)

LOAD = text("""
SELECT count(DISTINCT r.id) FILTER (WHERE r.status = 'running') AS running,
       count(DISTINCT r.id) FILTER (WHERE r.status = 'pending') AS pending,
       CAST(coalesce(sum(s.total - s.done), 0) AS bigint) AS to_go,
       CAST(coalesce(sum(s.waiting), 0) AS bigint) AS waiting
FROM runs r JOIN run_stages s ON s.run_id = r.id
WHERE r.status IN ('pending', 'running')
""")
NEXT_VISIT = text("""
SELECT min(c.not_before) FROM runs r JOIN run_chunks c ON c.run_id = r.id
WHERE r.status IN ('pending', 'running') AND c.status = 'open' AND c.waiting > 0
""")
ACTIVE = text("""
SELECT r.id, a.name AS account, r.status, r.created_at, s.stage, s.status AS stage_status, s.done, s.total, s.waiting
FROM (
  SELECT id, account_id, status, created_at FROM runs
  WHERE status IN ('pending', 'running') ORDER BY id DESC LIMIT :most
) r
JOIN accounts a ON a.id = r.account_id JOIN run_stages s ON s.run_id = r.id
ORDER BY r.id DESC, s.ordinal
""")
AT_WORK = text("""
SELECT c.worker, c.stage, c.run_id, count(*) AS chunks, sum(c.last_position - c.first_position + 1) AS contacts,
       max(c.lease_expires_at) AS until, max(c.lease_expires_at) < now() AS is_silent
FROM runs r JOIN run_chunks c ON c.run_id = r.id
WHERE r.status IN ('pending', 'running') AND c.status = 'leased'
GROUP BY c.worker, c.stage, c.run_id ORDER BY c.worker, contacts DESC LIMIT :most
""")
HOSTS = text("""
WITH newest AS (
  SELECT id, sum(contact_count) OVER (ORDER BY created_at DESC, id DESC) AS contacts FROM (
    SELECT id, created_at, contact_count FROM runs
    WHERE created_at > now() - interval '1 day' AND retracted_at IS NULL ORDER BY created_at DESC LIMIT :runs
  ) r
)
SELECT o.evidence->>'mail_host' AS host, o.reason, count(*) AS contacts, min(o.recorded_at) AS since,
       max(o.evidence->>'reply_code') AS code, max(o.evidence->>'enhanced_code') AS enhanced_code
FROM newest n JOIN outcomes o ON o.run_id = n.id
WHERE n.contacts <= :contacts AND o.reason = ANY(:reasons) AND o.evidence->>'mail_host' <> ''
GROUP BY host, o.reason ORDER BY contacts DESC, host LIMIT :most
""")


class Load(NamedTuple):
    """The work of all accounts that is left: a contact is `to_go` once for each stage that it has before it.

    `waits_until` is when the first contact that waits may be asked.
    """

    running: int
    pending: int
    to_go: int
    waiting: int
    waits_until: datetime | None


class RunAtWork(NamedTuple):
    """A run that is active, of any account. `done` and `to_go` count in all of its stages."""

    id: UUID
    account: str
    status: str
    created_at: datetime
    percent: int
    done: int
    to_go: int
    waiting: int


class Holding(NamedTuple):
    """Chunks of one stage of a run that a worker holds, and when the last lease of them ends."""

    worker: str
    stage: str
    run_id: UUID
    chunks: int
    contacts: int
    until: datetime
    is_silent: bool


class RefusingHost(NamedTuple):
    """A mail host that did not answer about contacts for one reason, and the last code that it gave."""

    host: str
    reason: Reason
    contacts: int
    since: datetime
    code: str


def load_of_all(session: Session) -> Load:
    """The work that is left."""
    row = session.execute(LOAD).one()
    until = session.scalar(NEXT_VISIT) if row.waiting else None
    return Load(row.running, row.pending, row.to_go, row.waiting, until)


def runs_at_work(session: Session) -> Sequence[RunAtWork]:
    """The newest active runs."""
    stages: dict[UUID, list[StageCount]] = {}
    runs: dict[UUID, RunAtWork] = {}
    for row in session.execute(ACTIVE, {"most": MOST_RUNS}):
        stages.setdefault(row.id, []).append(StageCount(row.stage, row.stage_status, row.done, row.total))
        known = runs.get(row.id) or RunAtWork(row.id, row.account, row.status, row.created_at, 0, 0, 0, 0)
        runs[row.id] = known._replace(
            done=known.done + row.done,
            to_go=known.to_go + row.total - row.done,
            waiting=known.waiting + row.waiting,
        )
    return [run._replace(percent=percent(RunStatus(run.status), stages[run.id])) for run in runs.values()]


def workers_at_work(session: Session) -> Mapping[str, Sequence[Holding]]:
    """What each worker holds. A worker without chunks is not known here."""
    found: dict[str, list[Holding]] = {}
    for row in session.execute(AT_WORK, {"most": MOST_WORKERS}):
        found.setdefault(row.worker or "", []).append(Holding(*row))
    return found


def refusing_hosts(session: Session) -> Sequence[RefusingHost]:
    """The hosts that kept most answers back in the newest runs of the last day."""
    wanted = {
        "runs": RUNS_SEARCHED,
        "contacts": CONTACTS_SEARCHED,
        "reasons": [each.value for each in REFUSING],
        "most": MOST_HOSTS,
    }
    rows = session.execute(HOSTS, wanted)
    return [RefusingHost(row.host, Reason(row.reason), row.contacts, row.since, _code(row)) for row in rows]


def _code(row: Row[Any]) -> str:
    return " ".join(filter(None, (row.code, row.enhanced_code)))
