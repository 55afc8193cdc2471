"""The hooks of an account: add, list, change, rotate the secret, delete."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from models.account import Account
from models.bounds import HOOKS
from models.hook import Hook, HookEvent, HookMessage, HookStream
from models.hook_outbox import note_hook_for_contacts
from models.pauses import in_seconds
from models.schema import new_id
from pipeline.errors import InvalidInput, UnknownHook
from pipeline.hooks.secrets import new_secret


def add_hook(
    session: Session, account_id: UUID, url: str, events: Sequence[HookEvent], *, every_run: bool, description: str = ""
) -> Hook:
    """Add a hook with a new secret. `url` is from `usable_url`. Raises `InvalidInput` if there are too many."""
    # Locked, so that two requests do not add one too many.
    session.execute(select(Account.id).where(Account.id == account_id).with_for_update(key_share=True))
    count = session.scalars(select(func.count()).select_from(Hook).where(Hook.account_id == account_id)).one()
    if count >= HOOKS.most:
        raise InvalidInput(f"The account has {count} hooks, which is the most: delete one that is not needed.")
    hook = Hook(
        id=new_id(),
        account_id=account_id,
        url=url,
        description=description,
        events=[event.value for event in events],
        every_run=every_run,
        secret=new_secret(),
    )
    session.add(hook)
    _note_contacts(session, hook)
    return _fresh(session, hook)


def list_hooks(session: Session, account_id: UUID) -> Sequence[Hook]:
    """The hooks of an account, oldest first."""
    return session.scalars(select(Hook).where(Hook.account_id == account_id).order_by(Hook.id)).all()


def hook_of_account(session: Session, account_id: UUID, hook_id: UUID, *, lock: bool = False) -> Hook:
    """The hook, if it is this account's. Raises `UnknownHook`."""
    statement = select(Hook).where(Hook.id == hook_id).execution_options(populate_existing=True)
    hook = session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if hook is None or hook.account_id != account_id:
        raise UnknownHook.with_this_id()
    return hook


def change_hook(session: Session, account_id: UUID, hook_id: UUID, changes: dict[str, Any]) -> Hook:
    """Change columns of a hook. One that is enabled again begins without failures. Raises `UnknownHook`."""
    hook = hook_of_account(session, account_id, hook_id, lock=True)
    for column, value in changes.items():
        setattr(hook, column, value)
    if changes.get("enabled") or "url" in changes:
        hook.failures, hook.failing_since, hook.not_before = 0, None, func.now()
    if changes.get("enabled"):
        hook.disabled_reason = None
    _note_contacts(session, hook)
    return _fresh(session, hook)


def rotate_secret(session: Session, account_id: UUID, hook_id: UUID, overlap_hours: float) -> Hook:
    """Give a hook a new secret; the present one signs as well for some hours. Raises `UnknownHook`."""
    hook = hook_of_account(session, account_id, hook_id, lock=True)
    keeps = overlap_hours > 0
    hook.previous_secret = hook.secret if keeps else None
    hook.previous_until = in_seconds(overlap_hours * 3600) if keeps else None
    hook.secret = new_secret()
    return _fresh(session, hook)


def delete_hook(session: Session, account_id: UUID, hook_id: UUID) -> None:
    """Delete a hook, its log and what is still to be delivered. Raises `UnknownHook`."""
    hook_of_account(session, account_id, hook_id)
    # In the order in which a delivery locks them.
    session.execute(delete(HookStream).where(HookStream.hook_id == hook_id))
    session.execute(delete(HookMessage).where(HookMessage.hook_id == hook_id))
    session.execute(delete(Hook).where(Hook.id == hook_id))


def _note_contacts(session: Session, hook: Hook) -> None:
    session.flush()
    if hook.enabled and hook.every_run and HookEvent.CONTACTS in hook.events:
        note_hook_for_contacts(session, hook.account_id)


def _fresh(session: Session, hook: Hook) -> Hook:
    session.flush()
    session.refresh(hook)
    return hook
