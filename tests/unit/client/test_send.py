"""The message that starts a run is one that the workers know, in the queue that they read."""

import json
import time
from base64 import b64decode
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from kombu import Connection

from growth_client.enqueue import NotSent, send
from settings import load_settings
from tests.faults.injections.messages import waiting_lists
from tests.rabbitmq import IS_INSTALLED, NOT_INSTALLED, running_rabbitmq
from worker.app import make_app
from worker.broker import QUEUE
from worker.tasks import app


def test_the_message_is_a_task_of_the_workers_in_their_queue(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url, run_id = f"{valkey_url.rpartition('/')[0]}/7", uuid4()
    monkeypatch.setenv("BROKER_URL", url)
    load_settings.cache_clear()
    with redis.Redis.from_url(url) as broker:
        broker.flushdb()

        send(url, run_id)

        (message,) = [json.loads(each) for name in waiting_lists() for each in broker.lrange(name, 0, -1)]
    assert message["headers"]["task"] == "growth.start"
    assert message["headers"]["task"] in app.tasks
    assert json.loads(b64decode(message["body"]))[0] == [str(run_id)]


def test_a_broker_that_is_away_is_a_sentence_without_its_password() -> None:
    begun = time.monotonic()

    with pytest.raises(NotSent, match="the sweeper sends it") as away:
        send("redis://:secret@127.0.0.1:9/0", uuid4())

    assert "secret" not in str(away.value)
    assert time.monotonic() - begun < 10


@pytest.mark.proof
@pytest.mark.skipif(not IS_INSTALLED, reason=NOT_INSTALLED)
def test_rabbitmq_takes_the_message_before_and_after_the_workers_declare_their_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_rabbitmq(tmp_path / "rabbitmq") as rabbitmq:
        send(rabbitmq.url, uuid4())
        monkeypatch.setenv("BROKER_URL", rabbitmq.url)
        load_settings.cache_clear()
        make_app().send_task("growth.compile", (str(uuid4()),), queue=QUEUE)
        send(rabbitmq.url, uuid4())

        with Connection(rabbitmq.url) as connection:
            declared = connection.default_channel.queue_declare(QUEUE, passive=True)
    assert declared.message_count == 3
