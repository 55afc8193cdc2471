"""The Celery tasks. Their arguments are ids, their serialization is JSON.

A task may be delivered twice, late, or while a copy of it runs: Postgres knows what is left to do.
"""

import logging
import os
import threading
import warnings
from typing import Any
from uuid import UUID

from celery import Task
from celery.exceptions import SecurityWarning
from celery.signals import celeryd_init, worker_init, worker_ready, worker_shutdown, worker_shutting_down

from models.postgres_errors import PostgresUnavailable
from pipeline.stages import STAGES
from settings import load_settings, required
from settings.sources import sources_or_exit
from worker.app import app
from worker.celery_patches import expect_messages_while_stopping
from worker.chain import start_run, work_chain_step, work_chunk_task
from worker.compile import compile_run
from worker.export import export_stopped_run
from worker.garbage import collect_rarely
from worker.process import Process, open_process

WHAT_COMES_OF_IT = "the task ends, and the sweeper sends the run again when Postgres is back"

log = logging.getLogger(__name__)

_draining = threading.Event()
_opening = threading.Lock()
_process: Process | None = None


def this_process() -> Process:
    """The connections of this worker process, opened at its first use."""
    global _process
    with _opening:
        if _process is None:
            collect_rarely()
            _process = open_process(_draining)
            _process.heart.guard()
    return _process


@worker_shutting_down.connect
def _drain(**_: Any) -> None:
    """After SIGTERM tasks record their outcomes and release their chunks, within a checkpoint."""
    _draining.set()
    expect_messages_while_stopping()


@celeryd_init.connect
def _expect(**_: Any) -> None:
    """Celery is about to warn of a worker that root runs, whom a pickled message could ruin: we take only JSON."""
    warnings.filterwarnings("ignore", category=SecurityWarning)


@worker_init.connect
def _check(**_: Any) -> None:
    """Unusable settings end the worker at once, not one task after the other."""
    sources_or_exit(required(load_settings(), "database_url", "redis_url"))


@worker_ready.connect
def _open(**_: Any) -> None:
    this_process()


@worker_shutdown.connect
def _close(**_: Any) -> None:
    if _process is not None:
        _process.close()


class _Task(Task):  # type: ignore[type-arg]
    """Ends with a sentence, not with a traceback, when Postgres stays unavailable for longer than a step is retried."""

    throws = (PostgresUnavailable,)

    def on_failure(self, exc: Exception, _task_id: str, args: Any, *_: Any) -> None:
        """Log which run is held up, and what comes of it."""
        if isinstance(exc, PostgresUnavailable):
            log.warning("run %s, task %s: Postgres is unavailable (%s); %s", args[0], self.name, exc, WHAT_COMES_OF_IT)


def _add_stage_task(stage: str) -> None:
    @app.task(base=_Task, bind=True, name=f"growth.{stage}")
    def stage_task(self: "Task[Any, None]", run_id: str, extra_tasks: int) -> None:
        work_stage(self, run_id, stage, extra_tasks)


for _spec in STAGES:
    _add_stage_task(_spec.name)


@app.task(base=_Task, bind=True, name="growth.compile")
def compile_results(self: "Task[Any, None]", run_id: str) -> None:
    """Compile the results and finish the run."""
    compile_run(this_process(), UUID(run_id), _worker_name(self))


@app.task(base=_Task, name="growth.start")
def start(run_id: str) -> None:
    """Send the chain of a run that another program created: that one knows no stages."""
    start_run(this_process(), UUID(run_id))


@app.task(base=_Task, bind=True, name="growth.export")
def export(self: "Task[Any, None]", run_id: str) -> None:
    """Write the missing export files of a finished run."""
    export_stopped_run(this_process(), UUID(run_id), _worker_name(self))


@app.task(base=_Task, bind=True, name="growth.chunk")
def chunk_task(self: "Task[Any, None]", run_id: str, stage: str) -> None:
    """Work one chunk of a stage beside the chain."""
    work_chunk_task(this_process(), UUID(run_id), stage, _worker_name(self))


def work_stage(task: "Task[Any, None]", run_id: str, stage: str, extra_tasks: int) -> None:
    """Work a chunk of a stage; end this copy of the chain unless the stage is complete."""
    if not work_chain_step(this_process(), UUID(run_id), stage, _worker_name(task), extra_tasks):
        # Ends this copy of the chain. Unlike with celery.exceptions.Ignore, Flower shows the task as succeeded.
        task.request.chain = None


def _worker_name(task: "Task[Any, None]") -> str:
    return f"{task.request.hostname}/{os.getpid()}"
