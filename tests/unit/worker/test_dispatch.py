"""The messages that are sent to the broker, a real Valkey."""

import json
import socket
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
import redis
from celery._state import _task_stack

import worker.dispatch
import worker.tasks
from models.run import PRESETS
from pipeline.errors import InvalidInput
from pipeline.stages import stages_of
from settings import load_settings
from tests.faults.injections.messages import waiting_lists
from worker.app import make_app
from worker.dispatch import DispatchFailed, send_chain, send_chunk_tasks, send_export, send_rest_of_chain


@pytest.fixture
def broker(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    url = f"{valkey_url.rpartition('/')[0]}/6"
    monkeypatch.setenv("BROKER_URL", url)
    load_settings.cache_clear()
    # The process's own app may know another broker, from an earlier test.
    monkeypatch.setattr("worker.dispatch.app", app := make_app())
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield client
    app.close()


def sent_tasks(broker: redis.Redis) -> set[str]:
    """Names of all tasks in the queue, with those of the chains that they begin."""
    names = set()
    for queue in waiting_lists():
        for message in map(json.loads, broker.lrange(queue, 0, -1)):
            _, _, embedded = json.loads(b64decode(message["body"]))
            names |= {message["headers"]["task"], *(step["task"] for step in embedded["chain"] or ())}
    return names


@pytest.mark.parametrize("preset", PRESETS)
def test_each_task_that_is_sent_is_one_that_workers_know(broker: redis.Redis, preset: str) -> None:
    run_id = uuid4()

    send_chain(run_id, preset)
    for stage in stages_of(preset):
        send_rest_of_chain(run_id, preset, stage)
        send_chunk_tasks(run_id, stage, 1)
    send_export(run_id)

    stages = {f"growth.{stage}" for stage in stages_of(preset)}
    assert sent_tasks(broker) == stages | {"growth.chunk", "growth.compile", "growth.export"}
    assert sent_tasks(broker) <= set(worker.tasks.app.tasks)


def test_an_unknown_preset_is_a_sentence_and_nothing_is_sent(broker: redis.Redis) -> None:
    with pytest.raises(
        InvalidInput, match=r"no preset 'whole_pipeline': choose full_pipeline or verify_existing_emails\."
    ):
        send_chain(uuid4(), "whole_pipeline")

    assert sent_tasks(broker) == set()


@pytest.fixture
def silent_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A broker that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("BROKER_URL", f"redis://127.0.0.1:{server.getsockname()[1]}/0")
        load_settings.cache_clear()
        monkeypatch.setattr("worker.dispatch.app", make_app())
        yield


@contextmanager
def inside_a_task() -> Iterator[None]:
    """As a worker runs it."""

    def nothing() -> None: ...

    task = worker.dispatch.app.task(name="growth.test")(nothing)
    task.push_request(id="the-task", root_id="the-first-task", called_directly=False)
    _task_stack.push(task)
    try:
        yield
    finally:
        _task_stack.pop()
        task.pop_request()


def test_a_task_waits_no_longer_for_a_broker_that_hangs_than_anybody_else(silent_broker: None) -> None:
    """Its thread renews the leases of its chunks."""
    with inside_a_task(), pytest.raises(DispatchFailed, match="did not accept the message within"):
        send_chunk_tasks(uuid4(), "email_lookup", 1)


def test_a_message_that_a_task_sends_names_it_as_its_parent(broker: redis.Redis) -> None:
    with inside_a_task():
        send_chunk_tasks(uuid4(), "email_lookup", 1)

    (message,) = [json.loads(each) for queue in waiting_lists() for each in broker.lrange(queue, 0, -1)]
    assert (message["headers"]["parent_id"], message["headers"]["root_id"]) == ("the-task", "the-first-task")
