"""The messages that are sent to the broker, a real Valkey."""

import json
from base64 import b64decode
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis

import worker.tasks
from models.run import PRESETS
from pipeline.errors import InvalidInput
from pipeline.stages import stages_of
from settings import load_settings
from tests.faults.injections.messages import waiting_lists
from worker.app import make_app
from worker.dispatch import send_chain, send_chunk_tasks, send_export, send_rest_of_chain


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
