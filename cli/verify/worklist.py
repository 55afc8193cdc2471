"""The addresses of a list and their outcomes, in an SQLite file beside the output.

The file keeps memory small for a list of any size, holds each address once however often it occurs, and lets the same
command continue after an interruption. It is deleted when the output is complete.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.evidence import Evidence
from pipeline.mail.address.syntax import Address
from pipeline.outcomes import Outcome, OutcomeStatus, Reason

SLICE = 100
"""How many addresses of one domain are checked together."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS source (fingerprint TEXT, loaded INTEGER);
CREATE TABLE IF NOT EXISTS addresses (
  email TEXT PRIMARY KEY, domain TEXT NOT NULL, slice INTEGER, verdict TEXT, reason TEXT, score INTEGER, evidence TEXT,
  deferrals INTEGER NOT NULL DEFAULT 0, waited REAL NOT NULL DEFAULT 0, due REAL
) WITHOUT ROWID;
"""
CLEAR = "DROP TABLE addresses; DELETE FROM source;"
# The first slice of every domain comes before the second slice of any: otherwise 100,000 addresses at one large
# provider would occupy all conversations, which wait for that provider's few connections.
CUT = f"""
UPDATE addresses SET slice = cut.slice FROM (
  SELECT email, (row_number() OVER (PARTITION BY domain ORDER BY email) - 1) / {SLICE} AS slice FROM addresses
) AS cut WHERE cut.email = addresses.email
"""  # noqa: S608 - a constant of ours
INDEXES = (
    "CREATE INDEX by_slice ON addresses (slice, domain) WHERE verdict IS NULL AND due IS NULL",
    "CREATE INDEX by_due ON addresses (due) WHERE verdict IS NULL AND due IS NOT NULL",
)


@dataclass(frozen=True, slots=True)
class PendingAddress:
    """An address to check, with how often it was deferred and how many seconds it has waited in all."""

    email: str
    deferrals: int = 0
    waited: float = 0.0


class Worklist:
    """The addresses of one list. `done` counts those that have their outcome."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = sqlite3.connect(path, isolation_level=None)
        # The file is a cache: after a power cut the list starts again.
        self._db.executescript("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;" + SCHEMA)
        self._at = (-1, "")
        self.done = int(self._scalar("SELECT count(*) FROM addresses WHERE verdict IS NOT NULL"))

    def close(self) -> None:
        """Close the file and keep it, for the next time."""
        self._db.close()

    def delete(self) -> None:
        """Delete the file."""
        self._path.unlink()

    def is_loaded(self, fingerprint: str) -> bool:
        """Whether it holds the addresses of this very list. Otherwise it is emptied."""
        if self._db.execute("SELECT 1 FROM source WHERE fingerprint = ? AND loaded", [fingerprint]).fetchone():
            return True
        self._db.executescript(CLEAR + SCHEMA)
        self._db.execute("INSERT INTO source VALUES (?, 0)", [fingerprint])
        self.done = 0
        return False

    def load(self, addresses: Iterable[Address]) -> None:
        """Add the addresses of a list, each of them once."""
        rows = ((str(address), address.domain) for address in addresses)
        with self._one_step():
            self._db.executemany("INSERT OR IGNORE INTO addresses (email, domain) VALUES (?, ?)", rows)
            self._db.execute(CUT)
            for index in INDEXES:
                self._db.execute(index)
            self._db.execute("UPDATE source SET loaded = 1")

    @property
    def size(self) -> int:
        """The number of different addresses."""
        return int(self._scalar("SELECT count(*) FROM addresses"))

    def next_batch(self, now: float) -> Sequence[PendingAddress]:
        """Return addresses of one domain to check now, due ones first; empty if there are none now."""
        return self._due_batch(now) or self._fresh_batch()

    @property
    def has_deferred(self) -> bool:
        """Whether any address is deferred."""
        return bool(self._scalar("SELECT EXISTS (SELECT 1 FROM addresses WHERE verdict IS NULL AND due IS NOT NULL)"))

    def record(self, outcomes: Sequence[Outcome]) -> None:
        rows = [
            (each.status, each.reason, each.score, json.dumps(each.evidence.to_json()), each.email) for each in outcomes
        ]
        with self._one_step():
            self._db.executemany("UPDATE addresses SET verdict=?, reason=?, score=?, evidence=? WHERE email=?", rows)
        self.done += len(rows)

    def defer(self, asked: PendingAddress, due: float, seconds: float) -> None:
        self._db.execute(
            "UPDATE addresses SET due=?, waited=?, deferrals=? WHERE email=?",
            [due, asked.waited + seconds, asked.deferrals + 1, asked.email],
        )

    def end_waits(self, patience: float) -> None:
        """Make addresses due that have waited for longer than `patience`, which may be less than last time."""
        self._db.execute("UPDATE addresses SET due = NULL WHERE verdict IS NULL AND waited > ?", [patience])

    def reopen(self, reasons: Iterable[Reason]) -> None:
        """Delete outcomes with these reasons, so that the addresses are checked again next time."""
        forget = "UPDATE addresses SET verdict = NULL, due = NULL WHERE reason = ? AND verdict IS NOT NULL"
        self.done -= self._db.executemany(forget, [[each] for each in reasons]).rowcount

    def outcomes(self, emails: Sequence[str]) -> dict[str, Outcome]:
        """Return the outcomes of those of these addresses that have one."""
        marks = ",".join("?" * len(emails))
        columns = "email, verdict, reason, score, evidence"
        query = f"SELECT {columns} FROM addresses WHERE verdict IS NOT NULL AND email IN ({marks})"  # noqa: S608
        return {row[0]: _outcome(*row) for row in self._db.execute(query, emails)}

    def _due_batch(self, now: float) -> Sequence[PendingAddress]:
        waiting = "FROM addresses WHERE verdict IS NULL AND due IS NOT NULL AND due <= ?"
        first = self._db.execute(f"SELECT domain {waiting} ORDER BY due LIMIT 1", [now]).fetchone()
        if first is None:
            return []
        query = f"SELECT email, deferrals, waited {waiting} AND domain = ? LIMIT {SLICE}"
        found = [PendingAddress(*row) for row in self._db.execute(query, [now, *first])]
        # They must not be due again while they are checked; after an interruption they count as fresh.
        self._db.executemany("UPDATE addresses SET due = NULL WHERE email = ?", [[each.email] for each in found])
        return found

    def _fresh_batch(self) -> Sequence[PendingAddress]:
        fresh = "FROM addresses WHERE verdict IS NULL AND due IS NULL"
        query = f"SELECT slice, domain {fresh} AND (slice, domain) > (?, ?) ORDER BY slice, domain LIMIT 1"
        if (place := self._db.execute(query, self._at).fetchone()) is None:
            return []
        self._at = place
        query = f"SELECT email, deferrals, waited {fresh} AND (slice, domain) = (?, ?)"
        return [PendingAddress(*row) for row in self._db.execute(query, place)]

    @contextmanager
    def _one_step(self) -> Iterator[None]:
        """Run the block as one transaction."""
        self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _scalar(self, query: str) -> Any:
        return self._db.execute(query).fetchone()[0]


def _outcome(email: str, status: str, reason: str, score: int, evidence: str) -> Outcome:
    read = Evidence.from_json(json.loads(evidence))
    return Outcome(0, OutcomeStatus(status), Reason(reason), email, score=score, evidence=read)
