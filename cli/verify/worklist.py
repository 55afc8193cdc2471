"""What is left to check of a list, and what came out, in a small SQLite file beside the output.

It makes three things simple: a list of any size in little memory, each address asked once however often it comes, and
going on after an interruption. The file is deleted when the output is complete.
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
"""Addresses of one domain that are asked in one go."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS source (fingerprint TEXT, loaded INTEGER);
CREATE TABLE IF NOT EXISTS addresses (
  email TEXT PRIMARY KEY, domain TEXT NOT NULL, slice INTEGER, verdict TEXT, reason TEXT, score INTEGER, evidence TEXT,
  deferrals INTEGER NOT NULL DEFAULT 0, waited REAL NOT NULL DEFAULT 0, due REAL
) WITHOUT ROWID;
"""
CLEAR = "DROP TABLE addresses; DELETE FROM source;"
# Every domain's first slice comes before any domain's second, or a list of 100,000 addresses at one large provider
# would keep all conversations waiting for that provider's few connections.
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
class Asked:
    """An address to ask about: how often its server put it off, and how many seconds it has waited in all."""

    email: str
    deferrals: int = 0
    waited: float = 0.0


class Worklist:
    """The addresses of one list; `settled` counts those that have their outcome. Close it: what it has is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = sqlite3.connect(path, isolation_level=None)
        # It is a cache: after a power cut the list is begun anew.
        self._db.executescript("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;" + SCHEMA)
        self._at = (-1, "")
        self.settled = int(self._scalar("SELECT count(*) FROM addresses WHERE verdict IS NOT NULL"))

    def close(self) -> None:
        """What is known is kept, for the next time."""
        self._db.close()

    def delete(self) -> None:
        """All is done: the next list begins anew."""
        self._path.unlink()

    def is_loaded(self, fingerprint: str) -> bool:
        """Whether it holds all addresses of this very list; empties it otherwise."""
        if self._db.execute("SELECT 1 FROM source WHERE fingerprint = ? AND loaded", [fingerprint]).fetchone():
            return True
        self._db.executescript(CLEAR + SCHEMA)
        self._db.execute("INSERT INTO source VALUES (?, 0)", [fingerprint])
        self.settled = 0
        return False

    def load(self, addresses: Iterable[Address]) -> None:
        """Take in a list; addresses that come again are one."""
        rows = ((str(address), address.domain) for address in addresses)
        with self._one_step():
            self._db.executemany("INSERT OR IGNORE INTO addresses (email, domain) VALUES (?, ?)", rows)
            self._db.execute(CUT)
            for index in INDEXES:
                self._db.execute(index)
            self._db.execute("UPDATE source SET loaded = 1")

    @property
    def size(self) -> int:
        """How many different addresses there are."""
        return int(self._scalar("SELECT count(*) FROM addresses"))

    def take(self, now: float) -> Sequence[Asked]:
        """Some addresses of one domain to ask about now: first those whose wait is over. Empty: none at the moment."""
        return self._take_due(now) or self._take_fresh()

    @property
    def anybody_waits(self) -> bool:
        """Whether addresses are put off that will be due."""
        return bool(self._scalar("SELECT EXISTS (SELECT 1 FROM addresses WHERE verdict IS NULL AND due IS NOT NULL)"))

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes down."""
        rows = [
            (each.status, each.reason, each.score, json.dumps(each.evidence.to_json()), each.email) for each in outcomes
        ]
        with self._one_step():
            self._db.executemany("UPDATE addresses SET verdict=?, reason=?, score=?, evidence=? WHERE email=?", rows)
        self.settled += len(rows)

    def put_off(self, asked: Asked, due: float, seconds: float) -> None:
        """Ask again when it is due."""
        self._db.execute(
            "UPDATE addresses SET due=?, waited=?, deferrals=? WHERE email=?",
            [due, asked.waited + seconds, asked.deferrals + 1, asked.email],
        )

    def end_waits(self, patience: float) -> None:
        """Ask at once about whoever was put off for longer than there is patience now."""
        self._db.execute("UPDATE addresses SET due = NULL WHERE verdict IS NULL AND waited > ?", [patience])

    def reopen(self, reasons: Iterable[Reason]) -> None:
        """Forget outcomes that say nothing about the addresses: they are asked about again next time."""
        forget = "UPDATE addresses SET verdict = NULL, due = NULL WHERE reason = ? AND verdict IS NOT NULL"
        self.settled -= self._db.executemany(forget, [[each] for each in reasons]).rowcount

    def outcomes(self, emails: Sequence[str]) -> dict[str, Outcome]:
        """What is known of these addresses."""
        marks = ",".join("?" * len(emails))
        columns = "email, verdict, reason, score, evidence"
        query = f"SELECT {columns} FROM addresses WHERE verdict IS NOT NULL AND email IN ({marks})"  # noqa: S608
        return {row[0]: _outcome(*row) for row in self._db.execute(query, emails)}

    def _take_due(self, now: float) -> Sequence[Asked]:
        waiting = "FROM addresses WHERE verdict IS NULL AND due IS NOT NULL AND due <= ?"
        first = self._db.execute(f"SELECT domain {waiting} ORDER BY due LIMIT 1", [now]).fetchone()
        if first is None:
            return []
        query = f"SELECT email, deferrals, waited {waiting} AND domain = ? LIMIT {SLICE}"
        found = [Asked(*row) for row in self._db.execute(query, [now, *first])]
        # Not due again while they are asked; after an interruption they are fresh ones.
        self._db.executemany("UPDATE addresses SET due = NULL WHERE email = ?", [[each.email] for each in found])
        return found

    def _take_fresh(self) -> Sequence[Asked]:
        fresh = "FROM addresses WHERE verdict IS NULL AND due IS NULL"
        query = f"SELECT slice, domain {fresh} AND (slice, domain) > (?, ?) ORDER BY slice, domain LIMIT 1"
        if (place := self._db.execute(query, self._at).fetchone()) is None:
            return []
        self._at = place
        query = f"SELECT email, deferrals, waited {fresh} AND (slice, domain) = (?, ?)"
        return [Asked(*row) for row in self._db.execute(query, place)]

    @contextmanager
    def _one_step(self) -> Iterator[None]:
        """All or nothing, and as fast as one write."""
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
