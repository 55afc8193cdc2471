"""Reads live copies as the API does."""

from typing import Any

import redis

from models.run import Run
from pipeline.runs.live_state import key_of


def live_copy(server: redis.Redis, run: Run) -> str | None:
    """The copy of a run's state in Redis, unless it is missing or older than the run's row."""
    held: Any
    held, body = server.hmget(key_of(run.account_id, run.id), ["version", "state"])
    return body.decode() if held is not None and int(held) >= run.version else None
