"""Poison contacts: a chunk that breaks its task every time is cut until the contact at fault is alone.

A chunk breaks its task when a step of its work fails, or when its lease runs out. The first two attempts may be chance:
a worker was killed, a machine went down. After that, `split` cuts the contacts without an outcome into pieces: 200
contacts into pieces of 20, then 2, then 1. Each piece has one attempt before it is cut again. A single contact that
breaks its task five times is poison: it gets an outcome without being loaded or worked, and the run goes on. It has
more attempts than a piece, since a slow contact is often the only one left when a worker is killed.

A process works many chunks at once, and when it is killed, all of them lose their leases. So that the blame ends at the
one at fault, a process works few *suspects* at once, and one that has broken its task twice without another one.
"""

from collections.abc import Sequence

from sqlalchemy import insert, text, update
from sqlalchemy.orm import Session

from models.events import EventKind, add_event
from models.run_chunk import COMPILE, RunChunk, is_chunk
from pipeline.errors import ChunkExhausted

SUSPECT_ATTEMPTS = 2
POISON_ATTEMPTS = 5
MAX_ATTEMPTS = 8
"""After so many attempts at a chunk that can't be cut, its run fails: some two minutes after the first attempt."""
PIECES = 10
SUSPECTS_AT_ONCE = 32
"""How many chunks that broke their task once a process works at once: as many as it can lose by mere chance."""

# The LIMIT keeps the planner to one look at the primary key per contact.
UNDONE_POSITIONS = text("""
SELECT c.position FROM contacts c
LEFT JOIN LATERAL (
  SELECT o.position FROM outcomes o
  WHERE o.run_id = :run_id AND o.stage = :stage AND o.position = c.position LIMIT 1
) done ON true
WHERE c.run_id = :run_id AND c.position BETWEEN :first AND :last AND done.position IS NULL
ORDER BY c.position
""")
NEXT_NUMBER = text("SELECT max(number) + 1 FROM run_chunks WHERE run_id = :run_id AND stage = :stage")


def bisect(session: Session, chunk: RunChunk, worker: str) -> bool:
    """Cut a chunk if it broke its task too often for chance; return whether it is a poison contact.

    The caller must hold the lock on the run. The chunk keeps its first piece, and is refreshed. Raises `ChunkExhausted`
    for a chunk that can't be cut and has had `MAX_ATTEMPTS`.
    """
    if not is_suspect(chunk):
        return False
    undone = _undone(session, chunk)
    if len(undone) > 1 and chunk.stage != COMPILE:
        split(session, chunk, undone, worker)
        return False
    if chunk.attempts >= MAX_ATTEMPTS:
        raise ChunkExhausted(f"run {chunk.run_id}, stage {chunk.stage}: {chunk.attempts} attempts, none finished")
    if not is_poison(chunk, undone):
        return False
    _span_over(session, chunk, undone)
    return True


def may_join(attempts: int, suspects: Sequence[int]) -> bool:
    """Whether a process that works `suspects` may also work a chunk with so many attempts.

    `suspects` are the numbers of attempts of those chunks at work that have had any.
    """
    if not attempts:
        return True
    if max(attempts, *suspects, 0) >= SUSPECT_ATTEMPTS:
        return not suspects
    return len(suspects) < SUSPECTS_AT_ONCE


def is_suspect(chunk: RunChunk) -> bool:
    """Whether a chunk has broken its task too often for chance."""
    return chunk.attempts >= SUSPECT_ATTEMPTS


def is_poison(chunk: RunChunk, undone: Sequence[int]) -> bool:
    """Whether a chunk has one contact without an outcome, which broke its task too often for chance."""
    return chunk.stage != COMPILE and len(undone) == 1 and chunk.attempts >= POISON_ATTEMPTS


def split(session: Session, chunk: RunChunk, undone: Sequence[int], worker: str) -> None:
    """Cut a chunk with two or more `undone` contacts. Each piece has one attempt before it is cut again."""
    of_chunk = {"run_id": chunk.run_id, "stage": chunk.stage}
    pieces = _pieces(undone)
    _span_over(session, chunk, pieces[0], attempts=SUSPECT_ATTEMPTS - 1)
    first_number = session.scalars(NEXT_NUMBER, of_chunk).one()
    rows = [of_chunk | _span(piece) | {"number": first_number + n} for n, piece in enumerate(pieces[1:])]
    session.execute(insert(RunChunk), [row | {"attempts": SUSPECT_ATTEMPTS - 1} for row in rows])
    detail = {"chunk": chunk.number, "pieces": len(pieces)}
    add_event(session, chunk.run_id, EventKind.CHUNK_SPLIT, stage=chunk.stage, worker=worker, **detail)


def _undone(session: Session, chunk: RunChunk) -> list[int]:
    span = {"first": chunk.first_position, "last": chunk.last_position}
    return list(session.scalars(UNDONE_POSITIONS, {"run_id": chunk.run_id, "stage": chunk.stage} | span))


def _pieces(positions: Sequence[int]) -> list[Sequence[int]]:
    size = -(-len(positions) // PIECES)
    return [positions[start : start + size] for start in range(0, len(positions), size)]


def _span(piece: Sequence[int]) -> dict[str, int]:
    return {"first_position": piece[0], "last_position": piece[-1]}


def _span_over(session: Session, chunk: RunChunk, piece: Sequence[int], **values: int) -> None:
    values |= _span(piece)
    this = is_chunk(chunk.run_id, chunk.stage, chunk.number)
    session.execute(update(RunChunk).where(this).values(values).execution_options(synchronize_session=False))
    session.refresh(chunk)
