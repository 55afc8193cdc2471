"""The engine's work as operators see it: looked at once a second for all who watch, hosts once a minute."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import NamedTuple

from sqlalchemy.orm import Session

from models.database import Database
from pipeline.mail.address.providers import provider_of
from pipeline.outcomes import Reason
from pipeline.runs.overview import (
    Holding,
    Load,
    RefusingHost,
    RunAtWork,
    load_of_all,
    refusing_hosts,
    runs_at_work,
    workers_at_work,
)
from web.views.memory import Memory
from web.views.verdicts import name_of

LOOK_EACH_S = 1.0
HOSTS_EACH_S = 60.0
SHOWN_HOLDINGS = 3
WHAT_TO_DO: Mapping[str, str] = {
    Reason.BLOCKED: "Check reverse DNS and blocklists: growth doctor",
    Reason.RATE_LIMITED: "Nothing: it is asked more slowly by itself",
    Reason.GREYLISTED: "Nothing: it is asked again when its time has come",
    Reason.POLICY: "Add a provider that knows this domain",
}


class RunRow(NamedTuple):
    """A run, with its speed where that is known."""

    run: RunAtWork
    rate: float | None


class WorkerRow(NamedTuple):
    """A worker: what it holds, and until when its leases last."""

    name: str
    state: str
    holdings: Sequence[Holding]
    further: int
    contacts: int
    until: datetime


class HostRow(NamedTuple):
    """A host that refuses us."""

    host: RefusingHost
    provider: str
    what_to_do: str


class View(NamedTuple):
    """All of it, at one moment."""

    at: datetime
    load: Load
    rate: float | None
    runs: Sequence[RunRow]
    workers: Sequence[WorkerRow]
    hosts: Sequence[HostRow]

    @property
    def silent(self) -> Sequence[WorkerRow]:
        """The workers whose leases have all ended."""
        return [worker for worker in self.workers if worker.state == "silent"]

    @property
    def seconds_left(self) -> float | None:
        """How long the work takes at this speed, without those who wait."""
        now = self.load.to_go - self.load.waiting
        return now / self.rate if self.rate else None


@dataclass(slots=True)
class Operations:
    """What a process has seen of the engine's work. Threads share it."""

    database: Database
    memory: Memory
    now: Callable[[], datetime]
    lock: Lock = field(default_factory=Lock)
    looked_at: float = 0.0
    hosts_at: float = 0.0
    view: View | None = None

    def look(self) -> View:
        """The engine's work, as it was a second ago at most."""
        with self.lock:
            if self.view is None or time.monotonic() - self.looked_at >= LOOK_EACH_S:
                with self.database.transaction() as session:
                    self.view = self._look(session)
                self.looked_at = time.monotonic()
            return self.view

    def _look(self, session: Session) -> View:
        runs = [RunRow(run, self.memory.rate_of(run.id, "", run.done)) for run in runs_at_work(session)]
        rates = [row.rate for row in runs if row.rate]
        return View(
            self.now(),
            load_of_all(session),
            sum(rates) if rates else None,
            runs,
            [_worker(name, held) for name, held in workers_at_work(session).items()],
            self._hosts(session),
        )

    def _hosts(self, session: Session) -> Sequence[HostRow]:
        if self.view is not None and time.monotonic() - self.hosts_at < HOSTS_EACH_S:
            return self.view.hosts
        self.hosts_at = time.monotonic()
        return [
            HostRow(host, name_of(provider_of(host.host)), WHAT_TO_DO[host.reason]) for host in refusing_hosts(session)
        ]


def _worker(name: str, held: Sequence[Holding]) -> WorkerRow:
    return WorkerRow(
        name,
        "silent" if all(each.is_silent for each in held) else "working",
        held[:SHOWN_HOLDINGS],
        len(held) - len(held[:SHOWN_HOLDINGS]),
        sum(each.contacts for each in held),
        max(each.until for each in held),
    )
