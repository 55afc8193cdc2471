"""What else answers a status: a bare ASGI application with the same bytes, and the endpoint that one writes first."""

import os
from collections.abc import Iterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, Header, HTTPException
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from models.api_key import ApiKey, hash_api_key
from models.artifact import Artifact
from models.run import Run
from models.run_stage import RunStage

BODY = "BENCH_STATUS_BODY"
"""The environment variable that names the file with the bytes."""


def bare() -> Any:
    """An application that sends the same bytes to everybody."""
    with open(os.environ[BODY], "rb") as file:  # noqa: PTH123 - a benchmark's own
        body = file.read()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    return app


def naive() -> FastAPI:
    """FastAPI with a session of the ORM for each request: key, run, stages and artifacts."""
    engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"), pool_size=10)
    app = FastAPI()

    def session() -> Iterator[Session]:
        with Session(engine) as opened:
            yield opened

    @app.get("/api/v1/growth/runs/{run_id}")
    def read(
        run_id: UUID, database: Annotated[Session, Depends(session)], authorization: Annotated[str, Header()]
    ) -> dict[str, Any]:
        key = database.scalar(select(ApiKey).where(ApiKey.key_hash == hash_api_key(authorization.partition(" ")[2])))
        run = database.get(Run, run_id)
        if key is None or run is None or run.account_id != key.account_id:
            raise HTTPException(404)
        stages = database.scalars(select(RunStage).where(RunStage.run_id == run_id).order_by(RunStage.ordinal)).all()
        artifacts = database.scalars(select(Artifact).where(Artifact.run_id == run_id)).all()
        return {
            "run_id": run.id,
            "status": run.status,
            "stage_status": {stage.stage: stage.status for stage in stages},
            "progress": {
                "percent": 100 * sum(stage.done for stage in stages) // sum(stage.total for stage in stages),
                "message": "Discovering email addresses...",
                "stages": {stage.stage: {"done": stage.done, "total": stage.total} for stage in stages},
                "updated_at": run.updated_at,
            },
            "result_handles": [],
            "artifact_handles": [artifact.asset_id for artifact in artifacts],
            "export_handles": [],
            "preview": run.preview,
            "data_source_mix": run.data_source_mix,
            "gap_report": run.gap_report,
        }

    return app
