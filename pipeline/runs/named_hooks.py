"""Hooks that a run names: those that are not notified of every run."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Uuid, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.hook import Hook, HookStream
from models.run import Run
from pipeline.errors import InvalidInput


def name_hooks(session: Session, run: Run, hook_ids: Sequence[UUID]) -> None:
    """Have these hooks notified of the run. Raises `InvalidInput` unless all of them are its account's."""
    own = select(Hook.id, literal(run.id, Uuid())).where(Hook.account_id == run.account_id, Hook.id.in_(hook_ids))
    statement = insert(HookStream).from_select(["hook_id", "run_id"], own).returning(HookStream.hook_id)
    if len(session.scalars(statement).all()) < len(hook_ids):
        raise InvalidInput(
            "field goal_plan.output.hooks: no hook of your account has one of these ids: `growth hooks list` shows them"
        )


def name_same_hooks(session: Session, old: Run, new: Run) -> None:
    """Have the hooks that a run named notified of its retry."""
    named = (
        select(HookStream.hook_id, literal(new.id, Uuid()))
        .join(Hook, Hook.id == HookStream.hook_id)
        .where(HookStream.run_id == old.id, Hook.every_run.is_(False))
    )
    session.execute(insert(HookStream).from_select(["hook_id", "run_id"], named))
