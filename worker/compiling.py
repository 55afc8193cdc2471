"""Compiling: the export files first, each an idempotent step under the lease; then everything else at once."""

import logging
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.orm import Session

from models.queries import stream_results
from pipeline import chunks, live_state, runs
from pipeline.chunks import Lease
from pipeline.errors import LeaseLost
from pipeline.results.exports import ExportFile, write_export
from pipeline.runs import COMPILE
from worker.links import begin
from worker.process import Process
from worker.publishing import publish

log = logging.getLogger(__name__)


def compile_run(process: Process, run_id: UUID, worker: str) -> None:
    """The last link of the chain. May come more than once: one copy compiles, the others find nothing to do."""
    claim = begin(process, run_id, COMPILE, worker)
    if claim.lease is None:
        return
    try:
        _compile(process, claim.lease)
    except LeaseLost as lost:
        log.warning("%s; another worker compiles", lost)


def _compile(process: Process, lease: Lease) -> None:
    exports = _write_exports(process, lease)
    with process.database.transaction() as session:
        run = runs.complete(session, lease, exports, process.settings.lease_seconds)
        state = live_state.build(session, run, process.settings.public_url)
    publish(process, state)


def _write_exports(process: Process, lease: Lease) -> list[ExportFile]:
    directory = process.settings.export_dir
    with process.database.transaction() as session:
        run = runs.refreshed(session, lease.run_id)
        return [
            write_export(directory, run.id, name, run.extra_columns, _rows(process, lease, session))
            for name in run.export_formats
        ]


def _rows(process: Process, lease: Lease, session: Session) -> Iterator[Row[Any]]:
    """The run's result rows; while they stream, the lease is renewed in transactions of their own."""
    renewed = time.monotonic()
    for row in stream_results(session, lease.run_id):
        if time.monotonic() - renewed > process.settings.flush_seconds:
            _renew(process, lease)
            renewed = time.monotonic()
        yield row


def _renew(process: Process, lease: Lease) -> None:
    with process.database.transaction() as session:
        chunks.record(session, lease, (), process.settings.lease_seconds)
