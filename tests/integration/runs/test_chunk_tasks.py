"""A chunk task over real servers: what stops it early, and what happens to the rest of its chunk."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from models.database import Database
from models.events import EventKind
from models.queries import events_of_run, stages_of_run
from models.run import Run
from models.wire import ContactIn
from pipeline import stages
from pipeline.contacts import Batch, Contact
from pipeline.credits import RateCard
from pipeline.errors import StageFault
from pipeline.lookup.providers.waterfall import Waterfall
from pipeline.mail.network import MailNetwork
from pipeline.outcomes import Deferral, Outcome
from pipeline.runs import chunks, lifecycle, live_state
from pipeline.runs.chunks import Lease
from pipeline.runs.create import create_run
from pipeline.runs.deferrals import waiting
from pipeline.runs.poison import POISON_ATTEMPTS
from pipeline.runs.trouble import Step, StepFailed
from sandbox.domains import Behaviour, Domain, invent_domains
from sandbox.internet import Internet
from sandbox.people import Person, invent_people
from tests.factories import (
    LEASE_S,
    LOOKUP,
    WORKER,
    account,
    count,
    lease_chunk,
    leased_chunk,
    let_pauses_pass,
    not_found,
    order_of,
)
from tests.integration.broker.worker_process import opened_process
from tests.integration.conftest import contacts_of
from tests.unit.runs.test_recording_together import query_that_waits
from worker.at_work import AtWork, Share
from worker.attempts import fail_attempt
from worker.chain import begin, load_batch
from worker.chunk_runner import ChunkAtWork
from worker.chunk_task import ChunkTask
from worker.process import Process
from worker.turns import StageLeft

CANCEL_TAKES_EFFECT_S = 2.0
SLOW_S = 15.0
"""The pause of a slow server before each reply: far longer than any wait in this module."""
QUICK, SLOW, GREYLISTED = 6, 4, 3


@pytest.fixture(scope="module")
def domains() -> dict[Behaviour, Domain]:
    """Domains by behaviour: ordinary ones answer at once, slow ones late, greylisting ones defer each recipient."""
    return {domain.behaviour: domain for domain in invent_domains(41)}


@pytest.fixture(scope="module")
def people(domains: dict[Behaviour, Domain]) -> Sequence[Person]:
    return [
        *invent_people(41, QUICK, [domains[Behaviour.ORDINARY]]),
        *invent_people(42, SLOW, [domains[Behaviour.SLOW]]),
    ]


@pytest.fixture(scope="module")
def deferred(domains: dict[Behaviour, Domain]) -> Sequence[Person]:
    return invent_people(43, GREYLISTED, [domains[Behaviour.GREYLISTING]])


@pytest.fixture(scope="module")
def internet(
    domains: dict[Behaviour, Domain], people: Sequence[Person], deferred: Sequence[Person]
) -> Iterator[Internet]:
    with Internet([*people, *deferred], list(domains.values()), slow_seconds=SLOW_S) as running:
        yield running


@pytest.fixture
def process(
    internet: Internet, database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Process]:
    settings = {**internet.settings(), "DATABASE_URL": database_url, "REDIS_URL": valkey_url}
    with opened_process(settings, monkeypatch) as opened:
        yield opened


@pytest.fixture
def run_id(database: Database, people: Sequence[Person]) -> UUID:
    return started_run_of(database, people)


def started_run_of(database: Database, people: Sequence[Person], chunk_size: int = 100) -> UUID:
    """A run of these people, in one open chunk or in several."""
    contacts = [ContactIn.model_validate(contact) for contact in contacts_of(people)]
    with database.transaction() as session:
        run_id = create_run(session, account(database).account_id, order_of(contacts), rate_card=RateCard()).run_id
        lifecycle.begin_stage(session, run_id, LOOKUP, WORKER, chunk_size)
    return run_id


def work_chunk(process: Process, lease: Lease) -> StageLeft | None:
    """Work a chunk, and no other one."""
    return ChunkTask(process, lease, hand_on=lambda: None).work(has_free_chunks=False)


@contextmanager
def working(process: Process, lease: Lease) -> Iterator["Future[StageLeft | None]"]:
    """Work a chunk until the task ends by itself."""
    with ThreadPoolExecutor(1) as chunk_task:
        yield chunk_task.submit(work_chunk, process, lease)


def wait_until_only_slow_contacts_remain(database: Database, run_id: UUID) -> None:
    deadline = time.monotonic() + SLOW_S
    while done(database, run_id) < QUICK:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def done(database: Database, run_id: UUID) -> int:
    with database.transaction() as session:
        return stages_of_run(session, run_id)[0].done


def reasons_for_releasing(database: Database, run_id: UUID) -> list[str]:
    with database.transaction() as session:
        return [e.detail["reason"] for e in events_of_run(session, run_id) if e.kind == "chunk_released"]


def test_a_chunk_task_that_waits_for_a_slow_server_stops_within_two_seconds_of_a_cancellation(
    process: Process, database: Database, run_id: UUID
) -> None:
    with working(process, leased_chunk(database, run_id)) as chunk_task:
        wait_until_only_slow_contacts_remain(database, run_id)

        with database.transaction() as session:
            lifecycle.cancel(session, session.get_one(Run, run_id).account_id, run_id)

        assert chunk_task.result(timeout=CANCEL_TAKES_EFFECT_S) is None
    assert done(database, run_id) == QUICK


def test_a_chunk_task_releases_the_rest_of_its_chunk_when_the_chunks_time_is_up(
    process: Process, database: Database, run_id: UUID
) -> None:
    settings = process.settings.model_copy(update={"chunk_seconds": 1.5})

    left = work_chunk(replace(process, settings=settings), leased_chunk(database, run_id))

    assert left == StageLeft(complete=False, has_free_chunks=True)
    assert reasons_for_releasing(database, run_id) == ["the chunk's time is up"]
    assert done(database, run_id) == QUICK


def test_a_chunk_task_releases_the_rest_of_its_chunk_when_its_worker_stops(
    process: Process, database: Database, run_id: UUID
) -> None:
    with working(process, leased_chunk(database, run_id)) as chunk_task:
        wait_until_only_slow_contacts_remain(database, run_id)

        process.draining.set()  # type: ignore[attr-defined]

        assert chunk_task.result(timeout=SLOW_S) == StageLeft(complete=False, has_free_chunks=True)
    assert reasons_for_releasing(database, run_id) == ["the worker stops"]


def test_a_chunk_task_ends_although_contacts_are_deferred(
    process: Process, database: Database, deferred: Sequence[Person]
) -> None:
    run_id = started_run_of(database, deferred)

    with working(process, leased_chunk(database, run_id)) as chunk_task:
        left = chunk_task.result(timeout=min(process.settings.defer_seconds) / 10)

    assert left == StageLeft(complete=False, has_free_chunks=False)
    with database.transaction() as session:
        left = waiting(session, run_id)
        assert left is not None
        assert left.contacts == GREYLISTED
        message = json.loads(live_state.build(session, session.get_one(Run, run_id)).body)["progress"]["message"]
    assert f"{GREYLISTED} contacts wait until mail servers, name servers or providers can be asked again" in message


class BrokenByOne:
    """A stage that fails on one contact and yields nothing for the others."""

    async def work(
        self, batch: Batch, _network: MailNetwork, _sources: Waterfall, /
    ) -> AsyncIterator[Outcome | Deferral]:
        for contact in batch.contacts:
            if contact.position == QUICK:
                raise ValueError("no such contact")
            yield not_found(contact.position)


def test_a_contact_that_breaks_the_stage_itself_is_isolated_and_gets_an_internal_error(
    process: Process, database: Database, run_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [replace(spec, load=BrokenByOne) if spec.name == LOOKUP else spec for spec in stages.STAGES]
    monkeypatch.setattr(stages, "STAGES", tuple(broken))

    chunk_tasks = 0
    while (lease := lease_chunk(database, run_id)) is not None:
        work_chunk(process, lease)
        let_pauses_pass(database)
        chunk_tasks += 1

    with database.transaction() as session:
        faulty = "SELECT position FROM outcomes WHERE reason = 'internal_error'"
        assert count(session, faulty) == QUICK
    assert done(database, run_id) == QUICK + SLOW
    assert reasons_for_releasing(database, run_id).count("the chunk broke") >= POISON_ATTEMPTS
    assert chunk_tasks < 3 * POISON_ATTEMPTS


def test_a_task_that_begins_with_a_suspect_works_no_other_suspect_beside_it(
    process: Process, database: Database, people: Sequence[Person]
) -> None:
    """If the process were killed, both would be blamed."""
    run_id = started_run_of(database, people[:QUICK], chunk_size=1)
    with database.transaction() as session:
        session.execute(text("UPDATE run_chunks SET attempts = 2"))

    left = ChunkTask(process, leased_chunk(database, run_id), hand_on=lambda: None).work(has_free_chunks=True)

    with database.transaction() as session:
        kinds = [event.kind for event in events_of_run(session, run_id) if "chunk" in event.detail]
    assert kinds == [EventKind.CHUNK_LEASED, EventKind.CHUNK_FINISHED]
    assert left == StageLeft(complete=False, has_free_chunks=True)


@pytest.mark.parametrize("somebody_came", [False, True])
def test_a_task_that_handed_on_goes_on_itself_if_nobody_else_could(
    process: Process, database: Database, people: Sequence[Person], somebody_came: bool
) -> None:
    """Who came while it held chunks may have found that enough workers are at work on the run."""
    run_id = started_run_of(database, people[:QUICK], chunk_size=1)
    task = ChunkTask(process, leased_chunk(database, run_id), hand_on=lambda: None)
    task._hand_on_at = 0.0  # noqa: SLF001 - its time is up
    if somebody_came:
        leased_chunk(database, run_id, worker="worker-2@test/1")

    assert task.work(has_free_chunks=True) == StageLeft(complete=False, has_free_chunks=not somebody_came)


def test_a_task_begins_with_no_suspect_beside_one_of_another_run(
    process: Process, database: Database, people: Sequence[Person]
) -> None:
    run_id = started_run_of(database, people[:QUICK], chunk_size=1)
    with database.transaction() as session:
        session.execute(text("UPDATE run_chunks SET attempts = 2"))

    with process.at_work.sharing(Share(uuid4(), uuid4(), suspects=[2])):
        begun = begin(process, run_id, LOOKUP, WORKER, partial(load_batch, process))

    assert begun.lease is None


def test_a_failed_attempt_waits_for_others_that_record_before_it_takes_anything(
    process: Process, database: Database, people: Sequence[Person]
) -> None:
    """It takes the run's row before outcomes, and they take it last: they would wait for each other."""
    run_id = started_run_of(database, people[:QUICK], chunk_size=QUICK // 2)
    failing, other = leased_chunk(database, run_id), leased_chunk(database, run_id)
    with ThreadPoolExecutor(1) as thread:
        with database.transaction() as session:
            chunks.record(session, other, [not_found(other.first_position)], LEASE_S)
            failed = thread.submit(fail_attempt, process, failing, StepFailed(Step.WORK, "ValueError"), ())
            query = query_that_waits(database)
        assert failed.result(timeout=SLOW_S) is not None

    assert "pg_advisory_xact_lock(" in query


def test_a_stage_gives_a_contact_one_result(database: Database, people: Sequence[Person]) -> None:
    lease = leased_chunk(database, started_run_of(database, people))
    chunk = ChunkAtWork(lease, [Contact(0, domain="alpha.test")], release_at=0.0, on_freed=lambda: None)
    chunk.add(not_found(0))

    with pytest.raises(StageFault, match="position 0"):
        chunk.add(not_found(0))


def test_chunks_that_wait_for_slow_servers_hold_up_no_other(
    process: Process, database: Database, people: Sequence[Person]
) -> None:
    """Each chunk is one contact. All are leased before the first of the slow ones is finished."""
    contacts = [ContactIn.model_validate(contact) for contact in contacts_of(people)]
    with database.transaction() as session:
        account_id = account(database).account_id
        run_id = create_run(session, account_id, order_of(contacts), rate_card=RateCard()).run_id
        lifecycle.begin_stage(session, run_id, LOOKUP, WORKER, chunk_size=1)

    task = ChunkTask(process, leased_chunk(database, run_id), hand_on=lambda: None)
    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(task.work, has_free_chunks=True)
        wait_until_only_slow_contacts_remain(database, run_id)
        with database.transaction() as session:
            kinds = [event.kind for event in events_of_run(session, run_id)]
        process.draining.set()  # type: ignore[attr-defined]
        working.result(timeout=SLOW_S)

    assert kinds.count("chunk_leased") == QUICK + SLOW
    assert kinds.count("chunk_finished") <= QUICK


def test_a_run_begins_at_once_although_another_account_uses_all_conversations(
    process: Process, database: Database, people: Sequence[Person]
) -> None:
    process = replace(process, at_work=AtWork(conversations=1))
    slow, quick = started_run_of(database, people[QUICK:]), started_run_of(database, people[:QUICK])

    with working(process, leased_chunk(database, slow)) as slow_task:
        left = work_chunk(process, leased_chunk(database, quick))
        assert not slow_task.done()
        process.draining.set()  # type: ignore[attr-defined]

    assert left == StageLeft(complete=True, has_free_chunks=False)


class EndsAtOnce:
    """A stage that yields all of its outcomes at the end, once it may."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def work(
        self, batch: Batch, _network: MailNetwork, _sources: Waterfall, /
    ) -> AsyncIterator[Outcome | Deferral]:
        await self.may_end.wait()
        for contact in batch.contacts:
            yield not_found(contact.position)


def test_outcomes_that_arrive_while_a_turn_begins_are_recorded_before_the_chunk_is_finished(
    process: Process, database: Database, run_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = EndsAtOnce()
    changed = [replace(spec, load=lambda: stage) if spec.name == LOOKUP else spec for spec in stages.STAGES]
    monkeypatch.setattr(stages, "STAGES", tuple(changed))
    collect = ChunkAtWork.collect

    def collect_and_let_it_end(chunk: ChunkAtWork) -> None:
        collect(chunk)
        if not stage.may_end.is_set():
            process.loop.call_soon_threadsafe(stage.may_end.set)
            deadline = time.monotonic() + SLOW_S
            while chunk.missing or asyncio.run_coroutine_threadsafe(_others(), process.loop).result():
                assert time.monotonic() < deadline

    monkeypatch.setattr(ChunkAtWork, "collect", collect_and_let_it_end)

    left = work_chunk(process, leased_chunk(database, run_id))

    assert left == StageLeft(complete=True, has_free_chunks=False)
    assert done(database, run_id) == QUICK + SLOW


async def _others() -> bool:
    """Whether the loop still works a chunk."""
    return any(task.get_coro().__name__ == "run_chunk" for task in asyncio.all_tasks())  # type: ignore[union-attr]
