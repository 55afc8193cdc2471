"""What a worker process works at the moment: which stages of which runs, with which conversations and suspects.

A process works many chunks at once, of several runs and accounts. What limits it is the number of its conversations.
They are dealt out by account, then by run, so that a small run does not wait for a large one.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(slots=True, eq=False)
class Place:
    """The right to work a stage of a run in this process."""

    run_id: UUID
    stage: str
    was_asked_for: bool = False
    """A chain step came meanwhile, and ended: whoever leaves sees to it that it comes again."""


@dataclass(slots=True, eq=False)
class Share:
    """The part of a process in one stage of a run."""

    account_id: UUID
    run_id: UUID
    in_use: int = 0
    """Conversations."""
    wants_more: bool = False
    """There are chunks that could be leased, if conversations were free."""
    suspects: Sequence[int] = ()
    """The numbers of attempts of those chunks at work that broke their task before."""


@dataclass(slots=True)
class AtWork:
    """The stages at work in a process, and their shares of its conversations. Used from all of its threads."""

    conversations: int
    _places: dict[tuple[UUID, str], Place] = field(default_factory=dict)
    _shares: list[Share] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, run_id: UUID, stage: str) -> Place | None:
        """Begin to work a stage; none if a task of this process works it already.

        Messages are delivered twice when a worker loses its broker: the copies end at once.
        """
        with self._lock:
            return self._enter(run_id, stage)

    def enter_or_ask(self, run_id: UUID, stage: str) -> Place | None:
        """`enter` for a chain step, which must not get lost: if the place is taken, it is asked for."""
        with self._lock:
            place = self._enter(run_id, stage)
            if place is None:
                self._places[run_id, stage].was_asked_for = True
            return place

    def leave(self, place: Place) -> None:
        """Let another task of this process work the stage. Leaving twice takes nobody else's place."""
        with self._lock:
            if self._places.get((place.run_id, place.stage)) is place:
                del self._places[place.run_id, place.stage]

    def _enter(self, run_id: UUID, stage: str) -> Place | None:
        if (run_id, stage) in self._places:
            return None
        self._places[run_id, stage] = place = Place(run_id, stage)
        return place

    @contextmanager
    def sharing(self, share: Share) -> Iterator[None]:
        """Count a share of the conversations, until the block ends."""
        with self._lock:
            self._shares.append(share)
        try:
            yield
        finally:
            with self._lock:
                self._shares.remove(share)

    def room(self, share: Share) -> int:
        """How many more conversations a run may begin.

        One that has none may always begin. While another one has less than its fair share and wants more, nobody goes
        beyond their own.
        """
        with self._lock:
            free = self.conversations - sum(each.in_use for each in self._shares)
            if any(each.wants_more and each.in_use < self._fair(each) for each in self._shares if each is not share):
                free = min(free, self._fair(share) - share.in_use)
            return max(free, 0 if share.in_use else 1)

    def suspects(self) -> Sequence[int]:
        """The numbers of attempts of all suspect chunks at work."""
        with self._lock:
            return [attempts for each in self._shares for attempts in each.suspects]

    def _fair(self, share: Share) -> int:
        accounts = {each.account_id for each in self._shares}
        runs = {each.run_id for each in self._shares if each.account_id == share.account_id}
        return max(1, self.conversations // len(accounts) // len(runs))
