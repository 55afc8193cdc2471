"""The sweeper process delivers; killed in the middle, it loses nothing and holds up nobody."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.local.processes import sweeper_command
from models.database import Database
from tests.factories import account
from tests.faults.engine import wait_until
from tests.unit.hooks.hooked import (
    BUT_PROGRESS,
    cancel,
    cancelled_run,
    deliver,
    finish_next_chunk,
    hook,
    let_pauses_pass,
    messages,
    move_clock,
    run_in_verify,
)
from tests.unit.hooks.receiver import Receiver, accept, hang, running_receiver

pytestmark = pytest.mark.proof

HOUR = 1.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def environment(database_url: str, valkey_url: str, tmp_path: Path) -> Mapping[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "EXPORT_DIR": str(tmp_path),
        "HOOK_ALLOW_PRIVATE": "true",
    }


@contextmanager
def sweeper(environment: Mapping[str, str], root: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-m", *sweeper_command()], cwd=root, env=environment) as process:
        yield process
        process.terminate()


def test_a_sweeper_killed_while_it_delivers_leaves_all_to_the_next_one(
    database: Database, environment: Mapping[str, str], project_root: Path, receiver: Receiver
) -> None:
    owner = account(database).account_id
    secret = hook(database, owner, receiver.url, BUT_PROGRESS).secret
    run_id = run_in_verify(database, owner)
    finish_next_chunk(database, run_id)
    receiver.behave = hang
    with sweeper(environment, project_root) as killed:
        wait_until(lambda: bool(receiver.received), "a delivery that hangs", seconds=30)
        finish_next_chunk(database, run_id)
        cancel(database, run_id)
        killed.kill()
    unfinished = receiver.received[0].id
    receiver.received.clear()
    receiver.behave = accept

    with sweeper(environment, project_root):
        move_clock(database, HOUR)
        wait_until(lambda: "run.cancelled" in kinds(receiver, secret), "all deliveries", seconds=30)

    assert receiver.received[0].id == unfinished
    of_contacts = [
        contact["first_name"]
        for each in receiver.received
        for contact in each.verified(secret)["data"].get("contacts", ())
    ]
    assert sorted(of_contacts) == [f"Given{n}" for n in range(4)]
    assert kinds(receiver, secret)[-1] == "run.cancelled"
    assert "pending" not in messages(database, "state")


def kinds(receiver: Receiver, secret: bytes) -> list[str]:
    return [each.verified(secret)["type"] for each in receiver.received]


def test_a_sweeper_that_is_told_to_stop_ends_soon_although_a_receiver_hangs(
    database: Database, environment: Mapping[str, str], project_root: Path, receiver: Receiver
) -> None:
    owner = account(database).account_id
    hook(database, owner, receiver.url)
    cancelled_run(database, owner)
    receiver.behave = hang

    with sweeper(environment, project_root) as stopped:
        wait_until(lambda: bool(receiver.received), "a delivery that hangs", seconds=30)
        stopped.terminate()
        assert stopped.wait(15) == 0

    receiver.behave = accept
    let_pauses_pass(database)
    deliver(database)
    assert messages(database, "state") == ["delivered"]


def test_several_sweepers_deliver_each_message_and_keep_its_order(
    database: Database, environment: Mapping[str, str], project_root: Path, receiver: Receiver
) -> None:
    owner = account(database).account_id
    secret = hook(database, owner, receiver.url, BUT_PROGRESS).secret
    runs = [run_in_verify(database, owner) for _ in range(6)]

    with sweeper(environment, project_root), sweeper(environment, project_root):
        for run_id in runs:
            finish_next_chunk(database, run_id)
            cancel(database, run_id)
        wait_until(lambda: kinds(receiver, secret).count("run.cancelled") == len(runs), "all deliveries", seconds=60)

    seen = [(each["data"]["run_id"], each["type"]) for each in (one.verified(secret) for one in receiver.received)]
    for run_id in runs:
        of_run = [kind for each, kind in seen if each == str(run_id)]
        assert of_run == ["contact.finished", "run.cancelled"]
    assert len({each.id for each in receiver.received}) == len(receiver.received)
