"""The state of a run for readers: built from rows, copied to Redis, and rebuilt when the copy is missing.

The copy is never trusted to exist. It carries the run's version, so that an older one can't replace a newer
one, and it expires: within seconds while the run moves, so that a write which Redis lost heals by itself.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis
from sqlalchemy.orm import Session

from models.artifact import EXPORT, Artifact
from models.queries import artifacts_of_run, first_results, stages_of_run
from models.run import Run
from models.status import TERMINAL_RUN_STATUSES, RunStatus, StageStatus
from models.wire import Progress, RunFailure, RunState, StageProgress
from pipeline.results.links import Links
from pipeline.results.rows import our_columns, result_contact
from pipeline.results.wanted import VERIFIED
from pipeline.runs.deferrals import exports_wait, waiting
from pipeline.runs.progress import StageCount, message, percent
from pipeline.stages import address_stages

FINISHED_STATE_SECONDS = 3600
DEFAULT_LINKS = Links()

log = logging.getLogger(__name__)

# KEYS: the copy. ARGV: version, JSON, seconds to live, channel. A user without rights on channels keeps the copy.
STORE_IF_NEWER = """
local held = redis.call('HGET', KEYS[1], 'version')
if held and tonumber(held) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'state', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if not held or tonumber(held) < tonumber(ARGV[1]) then redis.pcall('PUBLISH', ARGV[4], ARGV[1]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class LiveState:
    """A run's status response as JSON, with the version that guards its copy in Redis."""

    run_id: UUID
    account_id: UUID
    version: int
    finished: bool
    body: str


def build(session: Session, run: Run, links: Links = DEFAULT_LINKS) -> LiveState:
    """Build the state of a run from its rows. `run` must be fresh."""
    stages = stages_of_run(session, run.id)
    counts = [StageCount(row.stage, row.status, row.done, row.total) for row in stages]
    artifacts = artifacts_of_run(session, run.id) if run.status in TERMINAL_RUN_STATUSES else []
    state = RunState(
        run_id=run.id,
        status=run.status,
        stage_status={row.stage: row.status for row in stages if row.status != StageStatus.PENDING},
        progress=Progress(
            percent=percent(run.status, counts),
            message=_message(session, run, counts, has_waiting=any(row.waiting for row in stages)),
            stages={row.stage: StageProgress(done=row.done, total=row.total) for row in stages},
            updated_at=run.updated_at,
            error=_failure(run),
        ),
        result_handles=_result_handles(session, run),
        artifact_handles=_artifact_handles(run, artifacts, links),
        export_handles=[_export_handle(artifact, links) for artifact in _exports(run, artifacts)],
        preview=run.preview,
        data_source_mix=run.data_source_mix,
        gap_report=run.gap_report,
    )
    finished = run.status in TERMINAL_RUN_STATUSES
    return LiveState(run.id, run.account_id, run.version, finished, state.model_dump_json())


def store(server: redis.Redis, state: LiveState, live_seconds: float) -> None:
    """Copy a state to Redis unless a newer one is there, and publish it. Raises `redis.RedisError`."""
    seconds = FINISHED_STATE_SECONDS if state.finished else live_seconds
    key = key_of(state.account_id, state.run_id)
    server.eval(STORE_IF_NEWER, 1, key, state.version, state.body, int(seconds * 1000), channel(state.run_id))


def publish(server: redis.Redis, state: LiveState, live_seconds: float) -> None:
    """`store`, for callers that go on without Redis: the failure is logged, and readers read Postgres."""
    try:
        store(server, state, live_seconds)
    except redis.RedisError as error:
        log.warning("run %s: the live copy was not written: %s", state.run_id, type(error).__name__)


def channel(run_id: UUID) -> str:
    """The Redis channel on which the versions of a run's new states are announced."""
    return f"growth:run:{run_id}:states"


def key_of(account_id: UUID, run_id: UUID) -> str:
    """The key of a run's live copy: a hash of `version` and `state`."""
    # The account is part of the key: another account's copy can't even be asked for.
    return f"growth:run:{account_id}:{run_id}"


def _message(session: Session, run: Run, counts: Sequence[StageCount], *, has_waiting: bool) -> str:
    if run.status != RunStatus.RUNNING:
        return message(run, counts)
    if all(stage.status == StageStatus.COMPLETED for stage in counts):
        # A run whose files wait is parked until then.
        return message(run, counts, exports_wait=exports_wait(session, run.id) if run.parked_until else None)
    return message(run, counts, waiting(session, run.id) if has_waiting else None)


def _failure(run: Run) -> RunFailure | None:
    if run.error_code is None or run.error_message is None:
        return None
    return RunFailure(code=run.error_code, message=run.error_message, stage=run.error_stage)


def _result_handles(session: Session, run: Run) -> Sequence[dict[str, Any]]:
    if run.status != RunStatus.COMPLETED or run.retracted_at or not run.preview_rows:
        return []
    ours = our_columns(run.extra_columns)
    rows = first_results(session, run.id, run.preview_rows, *address_stages(run.preset))
    return [result_contact(row, ours) for row in rows]


def _exports(run: Run, artifacts: Sequence[Artifact]) -> list[Artifact]:
    """The exports; behind them other files of a run that was stopped, which has no artifacts (the contract says so)."""
    is_stopped = run.status != RunStatus.COMPLETED
    others = [artifact for artifact in artifacts if artifact.kind != EXPORT and artifact.sha256 is not None]
    return [*(artifact for artifact in artifacts if artifact.kind == EXPORT), *(others if is_stopped else ())]


def _artifact_handles(run: Run, artifacts: Sequence[Artifact], links: Links) -> list[dict[str, Any]]:
    """The verified contacts first, then by asset id; none of a run that was stopped."""
    if run.status != RunStatus.COMPLETED:
        return []
    others = [artifact for artifact in artifacts if artifact.kind != EXPORT]
    others.sort(key=lambda artifact: artifact.asset_id != VERIFIED)
    return [_artifact_handle(run, artifact, links) for artifact in others]


def _artifact_handle(run: Run, artifact: Artifact, links: Links) -> dict[str, Any]:
    handle = {"asset_id": artifact.asset_id, "label": artifact.label, "kind": artifact.kind}
    if artifact.sha256 is None or run.finished_at is None:
        return handle
    file = _export_handle(artifact, links)
    return {**handle, **file, "expires_at": links.end_of(run.finished_at)}


def _export_handle(artifact: Artifact, links: Links) -> dict[str, Any]:
    return {
        "asset_id": artifact.asset_id,
        "format": artifact.format,
        "mime_type": artifact.mime_type,
        "rows": artifact.rows,
        "bytes": artifact.bytes,
        "sha256": artifact.sha256,
        "download_url": links.to(artifact),
    }
