"""Limits how many requests of one account a process serves at the same time.

Without a limit, one account that sends many large bodies occupies all threads and connections. A request that waits
for a slot holds neither a thread nor a body. Cancelling and listing have slots of their own: cancelling must not wait
behind large bodies, but may wait long for the lock of its run; a list may have thousands of rows to serialise.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable, MutableMapping
from contextlib import asynccontextmanager
from uuid import UUID
from weakref import WeakValueDictionary

from fastapi import Depends, HTTPException, Request

from api.access import AccountId

SLOTS = 2
"""Requests of one account and one kind that a process serves at the same time."""
MAX_WAIT_S = 30

Slots = MutableMapping[Hashable, asyncio.Semaphore]


def new_slots() -> Slots:
    """The slots of a process. Those of an account are kept as long as one of them is in use."""
    return WeakValueDictionary()


async def change_slot(request: Request, account_id: AccountId) -> AsyncIterator[None]:
    """Hold a slot for a change. Answers 429 if none became free in time."""
    async with slot(request, (account_id, "changes")):
        yield


async def cancel_slot(request: Request, account_id: AccountId) -> AsyncIterator[None]:
    """Hold a slot for cancelling, as `change_slot`."""
    async with slot(request, (account_id, "cancels")):
        yield


async def list_slot(request: Request, account_id: AccountId) -> AsyncIterator[None]:
    """Hold a slot for listing, as `change_slot`."""
    async with slot(request, (account_id, "lists")):
        yield


async def upload_slot(request: Request, account_id: AccountId) -> AsyncIterator[None]:
    """Hold a slot for an upload, as `change_slot`: a file may come over a slow line for hours."""
    async with slot(request, (account_id, "uploads")):
        yield


async def reading_slot(request: Request, account_id: AccountId) -> AsyncIterator[None]:
    """Hold a slot for having an upload read, as `change_slot`: it must not wait for other uploads of the account."""
    async with slot(request, (account_id, "readings")):
        yield


CHANGE, CANCEL, LIST = Depends(change_slot), Depends(cancel_slot), Depends(list_slot)
UPLOAD, READ_UPLOAD = Depends(upload_slot), Depends(reading_slot)


@asynccontextmanager
async def slot(request: Request, key: tuple[UUID, str]) -> AsyncIterator[None]:
    """Hold a slot of an account and a kind. Answers 429 if none became free in time."""
    slots = _slots_for(request.app.state.slots, key)
    try:
        async with asyncio.timeout(MAX_WAIT_S):
            await slots.acquire()
    except TimeoutError:
        sentence = (
            f"{SLOTS} such requests of your account are still being served: wait for their answers, then try again."
        )
        raise HTTPException(429, sentence, {"Retry-After": "5"}) from None
    try:
        yield
    finally:
        slots.release()


def _slots_for(slots: Slots, key: Hashable) -> asyncio.Semaphore:
    found = slots.get(key)
    if found is None:
        found = slots[key] = asyncio.Semaphore(SLOTS)
    return found
