"""Narrowing: a chunk that breaks its lane again and again is cut down to the record at fault.

The first two attempts may be chance (a worker was killed, a machine went down). After that the undone
records are cut into pieces, each of which has one attempt before it is cut again: 200, 20, 2, 1. A record that
is left alone and breaks its lane again and again is condemned: it gets an outcome, and the run goes on. That
takes more attempts than cutting does, since a slow record is often the only one left when a worker is killed.
"""

from collections.abc import Sequence

from sqlalchemy import insert, text, update
from sqlalchemy.orm import Session

from models.events import EventKind, add_event
from models.run_chunk import COMPILE, RunChunk
from pipeline.errors import ChunkExhausted

SUSPECT_ATTEMPTS = 2
CONDEMNED_ATTEMPTS = 4
MAX_ATTEMPTS = 5
"""For a chunk that can't be cut: compiling."""
PIECES = 10

UNDONE_POSITIONS = text("""
SELECT c.position FROM contacts c
WHERE c.run_id = :run_id AND c.position BETWEEN :first AND :last AND NOT EXISTS (
  SELECT FROM outcomes o
  WHERE o.run_id = c.run_id AND o.stage = :stage AND o.position = c.position AND o.position BETWEEN :first AND :last
)
ORDER BY c.position
""")
NEXT_NUMBER = text("SELECT max(number) + 1 FROM run_chunks WHERE run_id = :run_id AND stage = :stage")


def is_suspect(chunk: RunChunk) -> bool:
    """Whether a chunk has broken its lane too often for chance."""
    return chunk.attempts >= SUSPECT_ATTEMPTS


def narrow(session: Session, chunk: RunChunk, worker: str) -> bool:
    """Cut a suspect chunk for `worker`, keeping its first piece in it; whether it is one record, which is condemned.

    The chunk must be locked by the caller, and is refreshed. Raises `ChunkExhausted` for one that has
    nothing to cut and broke its lane all the same.
    """
    of_chunk = {"run_id": chunk.run_id, "stage": chunk.stage}
    span = {"first": chunk.first_position, "last": chunk.last_position}
    undone = list(session.scalars(UNDONE_POSITIONS, of_chunk | span))
    if len(undone) == 1 and chunk.stage != COMPILE:
        return chunk.attempts >= CONDEMNED_ATTEMPTS
    if len(undone) < SUSPECT_ATTEMPTS:
        return _not_to_be_cut(chunk)
    pieces = _pieces(undone)
    _keep(session, chunk, pieces[0])
    first_number = session.scalars(NEXT_NUMBER, of_chunk).one()
    rows = [of_chunk | _span(piece) | {"number": first_number + n} for n, piece in enumerate(pieces[1:])]
    session.execute(insert(RunChunk), [row | {"attempts": SUSPECT_ATTEMPTS - 1} for row in rows])
    split = {"chunk": chunk.number, "pieces": len(pieces)}
    add_event(session, chunk.run_id, EventKind.CHUNK_SPLIT, stage=chunk.stage, worker=worker, **split)
    return False


def _not_to_be_cut(chunk: RunChunk) -> bool:
    if chunk.attempts >= MAX_ATTEMPTS:
        raise ChunkExhausted(f"run {chunk.run_id}, stage {chunk.stage}: {chunk.attempts} attempts, none finished")
    return False


def _pieces(positions: Sequence[int]) -> list[Sequence[int]]:
    size = -(-len(positions) // PIECES)
    return [positions[start : start + size] for start in range(0, len(positions), size)]


def _span(piece: Sequence[int]) -> dict[str, int]:
    return {"first_position": piece[0], "last_position": piece[-1]}


def _keep(session: Session, chunk: RunChunk, piece: Sequence[int]) -> None:
    is_chunk = (RunChunk.run_id == chunk.run_id, RunChunk.stage == chunk.stage, RunChunk.number == chunk.number)
    values = _span(piece) | {"attempts": SUSPECT_ATTEMPTS - 1}
    session.execute(update(RunChunk).where(*is_chunk).values(values).execution_options(synchronize_session=False))
    session.refresh(chunk)
