"""Tells readers how a run stands, after each commit."""

import logging

import redis

from pipeline.runs import live_state
from pipeline.runs.live_state import LiveState
from worker.process import Process

log = logging.getLogger(__name__)


def publish(process: Process, state: LiveState) -> None:
    """Write the live copy. A Redis that is away costs readers nothing but speed: they read Postgres."""
    try:
        live_state.store(process.redis, state, process.settings.live_state_seconds)
    except redis.RedisError as error:
        log.warning("run %s: the live copy was not written: %s", state.run_id, type(error).__name__)
