"""Limits of what one account's pages do at the same time, shared with its requests to the API."""

from collections.abc import AsyncIterator

from fastapi import Depends, Request

from api.slots import slot
from web.access import SignedIn


async def list_slot(request: Request, member: SignedIn) -> AsyncIterator[None]:
    """Hold a slot for reading lists."""
    async with slot(request, (member.account_id, "lists")):
        yield


async def change_slot(request: Request, member: SignedIn) -> AsyncIterator[None]:
    """Hold a slot for a change."""
    async with slot(request, (member.account_id, "changes")):
        yield


async def cancel_slot(request: Request, member: SignedIn) -> AsyncIterator[None]:
    """Hold a slot for cancelling, which must not wait behind other changes."""
    async with slot(request, (member.account_id, "cancels")):
        yield


async def upload_slot(request: Request, member: SignedIn) -> AsyncIterator[None]:
    """Hold a slot for a piece of a file."""
    async with slot(request, (member.account_id, "uploads")):
        yield


async def reading_slot(request: Request, member: SignedIn) -> AsyncIterator[None]:
    """Hold a slot for having a file read."""
    async with slot(request, (member.account_id, "readings")):
        yield


LIST, CHANGE, CANCEL = Depends(list_slot), Depends(change_slot), Depends(cancel_slot)
UPLOAD, READ_UPLOAD = Depends(upload_slot), Depends(reading_slot)
