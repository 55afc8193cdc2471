"""What an answer with a run's state says beside the state."""

import time
from uuid import UUID

from api.live.redis_batches import Copy
from models.status import TERMINAL_RUN_STATUSES

SLOWEST_ADVICE_S = 15
ADVICE_SHARE = 20
"""A client that reads again after a twentieth of a run's age learns of its end early enough."""


def is_final(state: Copy) -> bool:
    """Whether a state is that of a run that has ended."""
    # It begins {"run_id":"…","status":"…"
    return state.body.split(b'"', 8)[7].decode() in TERMINAL_RUN_STATUSES


def etag_of(state: Copy) -> str:
    """The validator of a state. It is a weak one: the bytes may differ between releases."""
    return f'W/"{state.version}"'


def headers_of(run_id: UUID, state: Copy) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, whether it has the state or says that the client has it."""
    headers = [(b"etag", etag_of(state).encode()), (b"cache-control", b"private, no-cache")]
    if not is_final(state):
        headers.append((b"retry-after", b"%d" % advice(run_id)))
    return headers


def advice(run_id: UUID) -> int:
    """The seconds after which to read a run again: the older it is, the more. Its id has the time of its creation."""
    age_s = time.time() - (run_id.int >> 80) / 1000
    return max(1, min(SLOWEST_ADVICE_S, int(age_s / ADVICE_SHARE)))
