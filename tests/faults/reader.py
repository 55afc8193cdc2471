"""Clients that poll a run through the API until it ends, as front ends do."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from cli.client import Credentials
from tests.faults.engine import wait_until

POLL_SECONDS = 0.2
READERS = 3
FINISHED = {"completed", "failed", "cancelled"}


@dataclass(slots=True)
class Reader:
    """The responses that one reader got. During a fault, only no response and 503 are allowed besides 200."""

    state: dict[str, Any] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unanswered: int = 0

    @property
    def percent(self) -> int:
        """The percentage of the last response."""
        return int(self.state["progress"]["percent"]) if self.state else 0

    @property
    def finished(self) -> bool:
        """Whether the last response says that the run has ended."""
        return bool(self.state) and self.state["status"] in FINISHED

    def wait_for(self, percent: int, seconds: float = 60) -> None:
        """Wait until the run has got this far or has ended. Raises `TimeoutError`."""
        wait_until(lambda: self.finished or self.percent >= percent, f"{percent} percent", seconds)

    def wait_for_end(self, seconds: float) -> None:
        """Wait for the end of the run. Raises `TimeoutError`."""
        wait_until(lambda: self.finished, "the run's end", seconds)

    def record(self, response: httpx.Response) -> None:
        """Record a response, and what is wrong with it."""
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            self.unanswered += 1
        elif response.status_code != httpx.codes.OK:
            self.errors.append(f"{response.status_code}: {response.text[:200]}")
        else:
            self._record_state(response.json())

    def _record_state(self, state: dict[str, Any]) -> None:
        percent = int(state["progress"]["percent"])
        if percent < self.percent:
            self.contradictions.append(f"percent fell from {self.percent} to {percent}")
        if (percent == 100) != (state["status"] == "completed"):
            self.contradictions.append(f"{percent} percent while {state['status']}")
        if not self.finished:
            self.state = state


@contextmanager
def reading(credentials: Credentials, run_id: UUID) -> Iterator[Sequence[Reader]]:
    """Poll with several readers until the block ends, each with a connection of its own."""
    readers, stopping = [Reader() for _ in range(READERS)], threading.Event()
    threads = [threading.Thread(target=_poll, args=(credentials, run_id, reader, stopping)) for reader in readers]
    for thread in threads:
        thread.start()
    try:
        yield readers
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def _poll(credentials: Credentials, run_id: UUID, reader: Reader, stopping: threading.Event) -> None:
    headers = {"Authorization": f"Bearer {credentials.api_key}"}
    url = f"/api/v1/growth/runs/{run_id}"
    with httpx.Client(base_url=credentials.api_url, headers=headers, trust_env=False, timeout=10) as http:
        while not stopping.wait(POLL_SECONDS):
            try:
                reader.record(http.get(url))
            except httpx.TransportError:
                reader.unanswered += 1
