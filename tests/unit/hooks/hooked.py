"""Hooks, runs that they are notified of, and deliveries, in the state that a test needs."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from models.database import Database
from models.hook import Hook, HookEvent
from pipeline.hooks.deliveries import LeasedStream, lease_streams
from pipeline.hooks.endpoints import add_hook
from pipeline.mail.dns.routes import Resolver
from pipeline.results.links import Links
from pipeline.runs import lifecycle
from tests.factories import LOOKUP, VERIFY, WORKER, count, found, leased_chunk, owner_of, pending_run, valid
from tests.factories import finish_chunk as finish
from worker.hooks.deliverer import Deliverer
from worker.hooks.sender import Sender

ENDS = (HookEvent.COMPLETED, HookEvent.FAILED, HookEvent.CANCELLED)
EVERYTHING = tuple(HookEvent)
BUT_PROGRESS = tuple(each for each in HookEvent if each is not HookEvent.PROGRESS)
LEASE_S = 60.0
TIMEOUT_S = 1.0
NO_NAME_SERVER = (("127.0.0.1", 9),)


def hook(
    database: Database,
    account_id: UUID,
    url: str = "http://127.0.0.1:9/",
    events: Sequence[HookEvent] = ENDS,
    *,
    every_run: bool = True,
) -> Hook:
    with database.transaction() as session:
        return add_hook(session, account_id, url, events, every_run=every_run)


def cancelled_run(database: Database, account_id: UUID, **output: object) -> UUID:
    run_id = pending_run(database, account_id=account_id, **output)
    cancel(database, run_id)
    return run_id


def cancel(database: Database, run_id: UUID) -> None:
    with database.transaction() as session:
        lifecycle.cancel(session, owner_of(database, run_id), run_id)


def run_in_verify(database: Database, account_id: UUID, contacts: int = 4, chunk_size: int = 2) -> UUID:
    """A run whose first stage is complete, and whose last one is divided into chunks."""
    run_id = pending_run(database, contacts, account_id)
    for stage, size in ((LOOKUP, contacts), (VERIFY, chunk_size)):
        with database.transaction() as session:
            lifecycle.begin_stage(session, run_id, stage, WORKER, size)
        if stage == LOOKUP:
            finish(database, leased_chunk(database, run_id), [found(position) for position in range(contacts)])
    return run_id


def finish_next_chunk(database: Database, run_id: UUID) -> list[int]:
    """Finish a chunk of the last stage; return the positions of its contacts."""
    lease = leased_chunk(database, run_id, VERIFY)
    positions = list(range(lease.first_position, lease.last_position + 1))
    finish(database, lease, [valid(position) for position in positions])
    return positions


def messages(database: Database, *columns: str, of: UUID | None = None) -> list[Any]:
    """Columns of all messages, or of those of one run, in their order."""
    chosen, where = ", ".join(columns or ("event",)), "WHERE run_id = :run_id" if of else ""
    statement = text(f"SELECT {chosen} FROM hook_messages {where} ORDER BY hook_id, run_id, number")
    with database.transaction() as session:
        rows = session.execute(statement, {"run_id": of} if of else {}).all()
    return [row[0] if len(row) == 1 else tuple(row) for row in rows]


def let_pauses_pass(database: Database) -> None:
    """Let every pause, and every lease, be over now."""
    execute(
        database,
        "UPDATE hook_streams SET due_at = now() - interval '1 millisecond' WHERE due_at IS NOT NULL",
        "UPDATE hooks SET not_before = now()",
    )


def move_clock(database: Database, hours: float) -> None:
    """Make everything that is known of hooks so much older."""
    moved = f"- interval '{hours} hours'"
    execute(
        database,
        f"UPDATE hook_streams SET due_at = due_at {moved}, progress_at = progress_at {moved}",
        f"UPDATE hooks SET not_before = not_before {moved}, failing_since = failing_since {moved},"
        f" previous_until = previous_until {moved}",
        f"UPDATE hook_messages SET created_at = created_at {moved}, finished_at = finished_at {moved}",
    )


def execute(database: Database, *statements: str) -> None:
    with database.transaction() as session:
        for statement in statements:
            session.execute(text(statement))


def number_of(database: Database, table: str) -> int:
    with database.transaction() as session:
        return count(session, f"SELECT count(*) FROM {table}")


def lease(database: Database) -> Sequence[LeasedStream]:
    with database.transaction() as session:
        return lease_streams(session, {}, 100, LEASE_S)


def deliver(
    database: Database,
    *,
    looks: int = 1,
    timeout_s: float = TIMEOUT_S,
    allow_private: bool = True,
    nameservers: Sequence[tuple[str, int]] = NO_NAME_SERVER,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Deliver what is due, as the sweeper does, and wait until all of it is delivered or put off."""
    with_deliverer(
        database,
        lambda deliverer: _look(deliverer, looks),
        Resolver(nameservers, timeout=0.5, allow_private=allow_private),
        timeout_s=timeout_s,
        tls=tls,
    )


async def _look(deliverer: Deliverer, looks: int) -> None:
    for _ in range(looks):
        assert await deliverer.look()
        await deliverer.finish()


def with_deliverer(
    database: Database,
    use: Callable[[Deliverer], Any],
    resolver: Resolver | None = None,
    timeout_s: float = TIMEOUT_S,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Do something with a deliverer, in an event loop of its own."""

    async def go() -> None:
        usable = resolver or Resolver(NO_NAME_SERVER, allow_private=True)
        sender = Sender(usable, timeout_s, tls)
        await use(Deliverer(database, sender, LEASE_S, Links()))
        await sender.close()
        await usable.close()

    asyncio.run(go())
