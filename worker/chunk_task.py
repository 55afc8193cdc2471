"""The work of one task on a stage: many chunks at once.

While the event loop of the process works the chunks, the task's thread does the bookkeeping. In each turn it records
what has arrived, ends the chunks that are worked, and leases further ones while the process has conversations free. A
chunk whose mail servers are slow holds up no other.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future

from models.postgres_errors import PostgresUnavailable
from pipeline.contacts import Batch
from pipeline.errors import ChunkExhausted, GrowthError, LeaseLost, TotalOutage
from pipeline.runs.chunks import Lease
from pipeline.runs.trouble import StepFailed
from worker.at_work import Share
from worker.attempts import fail_attempt, noting_failures
from worker.chunk_runner import ChunkAtWork, run_chunk
from worker.dispatch import broker_may_be_away, send_chunk_tasks
from worker.process import Process
from worker.turns import Bookkeeper, Entry, StageLeft, Turn

MOST_LEASED = 64
"""Chunks that one turn leases at most."""
FIRST_WINDOW = 2
"""How many chunks a task begins at once, at first. While the event loop keeps up, they are doubled."""
MOST_RECORDED = 2000
"""A turn ends no further chunk after so many outcomes."""
WAKE_AT = 16
"""A task looks for further chunks as soon as a sixteenth of its process's conversations have ended."""
INVITE_EACH_S = 1.0
"""How often a task that leaves chunks waiting invites another process to work them."""

log = logging.getLogger(__name__)


class ChunkTask:
    """Works the chunks of one stage until none is left for it."""

    def __init__(
        self, process: Process, lease: Lease, hand_on: Callable[[], None], loaded: Batch | None = None
    ) -> None:
        self._process = process
        self._first = lease
        self._loaded = loaded
        """The contacts of the first chunk, if they are loaded."""
        self._books = Bookkeeper(process, lease.run_id, lease.stage, lease.worker)
        self._hand_on = hand_on
        """Leaves this task's place in the process, and has another task go on with the stage."""
        self._is_handed_on = False
        self._share = Share(lease.account_id, lease.run_id)
        self._at_work: dict[ChunkAtWork, Future[None]] = {}
        self._changed = threading.Event()
        self._freed = 0
        self._begun = 0
        """Chunks that the last turn has begun."""
        self._left = StageLeft(complete=False, has_free_chunks=False)
        self._was_held = False
        self._failures_before = process.network.failures
        self._window = FIRST_WINDOW
        self._chunk_size = 1.0
        """Conversations that a chunk of this stage needs at first, on the average."""
        now = time.monotonic()
        self._hand_on_at = now + process.settings.chunk_seconds
        self._lease_again_at = now
        self._next_turn_at = now
        self._checkpoint_at = now + process.settings.checkpoint_seconds
        self._invite_at = now + INVITE_EACH_S

    def work(self, has_free_chunks: bool) -> StageLeft | None:  # noqa: FBT001 - a fact, not a switch
        """Work the chunk that is leased, and others while there are any; none if all leases were lost.

        Raises `TotalOutage` when mail servers can't be reached at all. Unrecorded outcomes are dropped then, since they
        say nothing about the contacts.
        """
        self._left = StageLeft(complete=False, has_free_chunks=has_free_chunks)
        with self._process.at_work.sharing(self._share):
            try:
                self._start_first()
                self._update_share()
                while self._at_work:
                    self._wait()
                    self._check_world()
                    self._work_on()
            except LeaseLost as lost:
                log.warning("%s; unrecorded outcomes are dropped", lost)
                return None
            finally:
                self._drop(list(self._at_work))
        if not self._was_held:
            return None
        return StageLeft(self._left.complete, self._left.has_free_chunks and self._must_go_on())

    def _must_go_on(self) -> bool:
        """Whether nobody else goes on with the stage.

        Who was to do it may have come while this task still held chunks, and found that enough worked on the run.
        """
        return not self._is_handed_on or self._books.is_alone()

    def _start_first(self) -> None:
        if self._loaded is None:
            self._start([self._first])
        else:
            self._start_one(self._first, self._loaded)

    def _wait(self) -> None:
        """Wait until a chunk is worked, conversations are free for chunks that wait, or a checkpoint is due.

        While chunks are at work, turns take half of the time at most: the more happens, the more each of them does. But
        what takes longer than a checkpoint is followed by the next one at once, or a slow disk would double what a
        crash costs.
        """
        if not self._wanted():
            self._changed.wait(max(0.0, self._checkpoint_at - time.monotonic()))
        self._changed.clear()
        while self._may_gather() and (left := self._next_turn_at - time.monotonic()) > 0:
            self._changed.wait(left)
            self._changed.clear()
        self._freed = 0
        while self._process.heart.stands_still():
            # No lease is renewed for a loop that does not run: if it stays so, others take over.
            time.sleep(self._process.settings.checkpoint_seconds)

    def _may_gather(self) -> bool:
        return not all(future.done() for future in self._at_work.values())

    def _check_world(self) -> None:
        """Raise `TotalOutage` instead of reporting for each contact that its mail server could not be reached."""
        if outage := self._process.outage(self._failures_before):
            raise TotalOutage(outage.code, outage.message)

    def _work_on(self) -> None:
        """Take a turn; then start what it leased."""
        began, self._begun = time.monotonic(), 0
        failed = self._collect()
        entries = self._entries([chunk for chunk in self._at_work if chunk not in failed])
        if entries:
            self._take_turn(entries, self._wanted())
        for chunk, error in failed.items():
            self._fail(chunk, error)
        self._adapt_window(self._begun)
        self._update_share()
        self._hand_on_or_invite()
        now = time.monotonic()
        self._checkpoint_at = began + self._process.settings.checkpoint_seconds
        self._next_turn_at = min(now + (now - began), self._checkpoint_at)

    def _update_share(self) -> None:
        self._share.in_use = sum(chunk.conversations for chunk in self._at_work)
        self._share.suspects = [chunk.lease.attempts for chunk in self._at_work if chunk.lease.attempts]
        self._share.wants_more = self._may_lease()

    def _collect(self) -> Mapping[ChunkAtWork, StepFailed]:
        """Take over what has arrived. Returns the chunks whose work failed."""
        failed: dict[ChunkAtWork, StepFailed] = {}
        for chunk, future in self._at_work.items():
            # In this order, and once for a turn: a chunk that ends a moment later may have yielded more by then.
            chunk.has_ended = future.done()
            chunk.collect()
            error = future.exception() if chunk.has_ended and not future.cancelled() else None
            if isinstance(error, StepFailed):
                failed[chunk] = error
            elif error is not None:
                raise error
        return failed

    def _entries(self, chunks: Sequence[ChunkAtWork]) -> Mapping[ChunkAtWork, Entry]:
        """What the next turn does: not so much that leases could run out meanwhile. All leases are renewed."""
        entries, outcomes = {}, 0
        for chunk in chunks:
            entries[chunk] = self._entry(chunk) if outcomes < MOST_RECORDED else Entry(chunk.lease)
            outcomes += len(entries[chunk].outcomes)
        if outcomes >= MOST_RECORDED:
            self._changed.set()
        return entries

    def _entry(self, chunk: ChunkAtWork) -> Entry:
        outcomes = tuple(chunk.outcomes)
        if chunk.has_ended and not self._at_work[chunk].cancelled():
            return Entry(chunk.lease, outcomes, tuple(chunk.deferrals), is_worked=True)
        if not chunk.stopped_for and (reason := self._reason_to_stop(chunk)):
            chunk.stopped_for = reason
            self._process.loop.call_soon_threadsafe(chunk.cancel)
        return Entry(
            chunk.lease, outcomes, released_for=chunk.stopped_for or "its work ended" if chunk.has_ended else ""
        )

    def _reason_to_stop(self, chunk: ChunkAtWork) -> str:
        if self._process.draining.is_set():
            return "the worker stops"
        return "the chunk's time is up" if time.monotonic() > chunk.release_at else ""

    def _take_turn(self, entries: Mapping[ChunkAtWork, Entry], wanted: int) -> None:
        try:
            turn = self._books.take_turn(list(entries.values()), wanted, self._process.at_work.suspects())
        except PostgresUnavailable as error:
            log.warning("%s: outcomes are not recorded yet: %s", self._books.work, error)
        except (StepFailed, ChunkExhausted) as failed:
            self._take_turns_apart(entries, wanted, failed)
        else:
            self._follow(entries, turn, wanted)

    def _take_turns_apart(self, entries: Mapping[ChunkAtWork, Entry], wanted: int, failed: GrowthError) -> None:
        """Find which step of a turn failed: each chunk has a turn of its own, and so has leasing."""
        if len(entries) == 1 and not wanted and isinstance(failed, StepFailed):
            for chunk in entries:
                self._fail(chunk, failed)
            return
        for chunk, entry in entries.items():
            self._take_turn({chunk: entry}, 0)
        if wanted:
            self._left = StageLeft(self._left.complete, has_free_chunks=False)
            with noting_failures(self._process, self._books.run_id, self._books.stage, self._books.worker):
                self._follow({}, self._books.lease(wanted, self._process.at_work.suspects()), wanted)

    def _follow(self, entries: Mapping[ChunkAtWork, Entry], turn: Turn, wanted: int) -> None:
        """Do in this process what a turn did in Postgres."""
        # Of turns for one chunk each, the first may have completed the stage.
        self._left = StageLeft(self._left.complete or turn.left.complete, turn.left.has_free_chunks)
        for chunk, entry in entries.items():
            del chunk.outcomes[: len(entry.outcomes)]
        lost = [chunk for chunk in entries if chunk.lease in turn.lost]
        for chunk in lost:
            log.warning(
                "%s, chunk %s: the lease is gone; unrecorded outcomes are dropped", self._books.work, chunk.lease.number
            )
        self._was_held = self._was_held or len(lost) < len(entries)
        self._drop([*lost, *(chunk for chunk, entry in entries.items() if entry.ends and chunk not in lost)])
        if turn.state:
            self._process.publish(turn.state)
        if wanted and not turn.leases:
            self._lease_again_at = time.monotonic() + self._process.settings.checkpoint_seconds
        self._start(turn.leases)

    def _start(self, leases: Sequence[Lease]) -> None:
        """Load chunks, and have the event loop work them."""
        try:
            batches = self._books.load(leases) if leases else {}
        except StepFailed as failed:
            self._start_apart(leases, failed)
            return
        for lease, batch in batches.items():
            self._start_one(lease, batch)

    def _start_apart(self, leases: Sequence[Lease], failed: StepFailed) -> None:
        """Start the chunks that can be loaded."""
        if len(leases) == 1:
            self._note_attempt(leases[0], failed, ())
            return
        for lease in leases:
            self._start([lease])

    def _start_one(self, lease: Lease, batch: Batch) -> None:
        release_at = time.monotonic() + self._process.settings.chunk_seconds
        chunk = ChunkAtWork(lease, batch.contacts, release_at, self._on_freed)
        self._chunk_size += (chunk.conversations - self._chunk_size) / 8
        future = asyncio.run_coroutine_threadsafe(run_chunk(self._process, chunk, batch), self._process.loop)
        self._at_work[chunk] = future
        self._begun += 1
        future.add_done_callback(lambda _: self._changed.set())

    def _on_freed(self) -> None:
        self._freed += 1
        if self._freed * WAKE_AT >= self._process.at_work.conversations:
            self._changed.set()

    def _fail(self, chunk: ChunkAtWork, failed: StepFailed) -> None:
        self._drop([chunk])
        self._note_attempt(chunk.lease, failed, chunk.outcomes)

    def _note_attempt(self, lease: Lease, failed: StepFailed, outcomes: Sequence[object]) -> None:
        has_free_chunks = fail_attempt(self._process, lease, failed, outcomes)  # type: ignore[arg-type]
        if has_free_chunks is not None:
            self._was_held = True
            self._left = StageLeft(self._left.complete, has_free_chunks)

    def _drop(self, chunks: Iterable[ChunkAtWork]) -> None:
        for chunk in chunks:
            self._at_work.pop(chunk).cancel()

    def _may_lease(self) -> bool:
        """Whether this task leases further chunks, if conversations are free."""
        return self._left.has_free_chunks and not self._is_handed_on and not self._process.draining.is_set()

    def _wanted(self) -> int:
        """The number of chunks to lease now."""
        if not self._may_lease() or time.monotonic() < self._lease_again_at:
            return 0
        self._share.in_use = sum(chunk.conversations for chunk in self._at_work)
        room = self._process.at_work.room(self._share)
        return max(0, min(MOST_LEASED, int(room / max(1.0, self._chunk_size)), self._window_now()))

    def _window_now(self) -> int:
        """How many chunks may begin now. Those that wait for slow servers keep no others from it.

        But more than the processor can work would only wait for each other, and keep small runs waiting: while the
        event loop is late, nothing begins beside what is at work.
        """
        if self._process.heart.is_late():
            return 0 if any(not future.done() for future in self._at_work.values()) else 1
        return self._window

    def _adapt_window(self, begun: int) -> None:
        """Begin with few chunks, and with more each time that the event loop keeps up with all that might begin."""
        if self._process.heart.is_late():
            self._window = 1
        elif begun >= self._window:
            self._window = min(MOST_LEASED, 2 * self._window)

    def _hand_on_or_invite(self) -> None:
        """While chunks wait, invite another process; when the task's time is up, have another task go on."""
        if not self._at_work or not self._may_lease():
            return
        now, run_id, stage = time.monotonic(), self._books.run_id, self._books.stage
        if now >= self._hand_on_at:
            self._is_handed_on = True
            self._hand_on()
        elif now >= self._invite_at and self._process.settings.max_tasks_per_run > 1:
            with broker_may_be_away(run_id):
                send_chunk_tasks(run_id, stage, 1)
            self._invite_at = time.monotonic() + INVITE_EACH_S
