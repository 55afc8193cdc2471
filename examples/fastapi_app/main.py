"""An application that has addresses found: uvicorn main:app

POST /orders starts a run, GET /orders/{run_id}/progress passes its states on to a browser as they come, and
POST /hooks/growth receives the engine's webhooks, signed with GROWTH_HOOK_SECRET.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from growth_client import AsyncGrowthClient, GrowthError, Refused, Webhook, WebhookRefused


class Contact(BaseModel):
    full_name: str
    domain: str


class Order(BaseModel):
    number: str
    contacts: list[Contact]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncGrowthClient() as app.state.growth:
        yield


app = FastAPI(lifespan=lifespan)
hook = Webhook(os.environ["GROWTH_HOOK_SECRET"])
finished: set[str] = set()


def growth_of(request: Request) -> AsyncGrowthClient:
    client: AsyncGrowthClient = request.app.state.growth
    return client


Growth = Annotated[AsyncGrowthClient, Depends(growth_of)]


@app.exception_handler(Refused)
async def refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return JSONResponse({"detail": error.detail}, error.status)


@app.post("/orders", status_code=202)
async def create_order(order: Order, growth: Growth) -> dict[str, str]:
    contacts = [contact.model_dump() for contact in order.contacts]
    # The number of the order is the key: an order that is sent twice is one run.
    run = await growth.submit(contacts, idempotency_key=order.number)
    return {"run_id": run["run_id"]}


@app.get("/orders/{run_id}/progress")
async def progress(run_id: str, growth: Growth) -> StreamingResponse:
    async def states() -> AsyncIterator[str]:
        try:
            async for state in growth.watch(run_id):
                yield f"data: {json.dumps(state['progress'])}\n\n"
        except GrowthError as error:
            yield f"event: error\ndata: {json.dumps(str(error))}\n\n"

    return StreamingResponse(states(), media_type="text/event-stream")


@app.post("/hooks/growth", status_code=204)
async def receive(request: Request) -> None:
    try:
        event = hook.verify(await request.body(), request.headers)
    except WebhookRefused as error:
        raise HTTPException(401, str(error)) from error
    if event["type"] == "run.completed":
        # A set: the same event may come twice.
        finished.add(event["data"]["run_id"])
