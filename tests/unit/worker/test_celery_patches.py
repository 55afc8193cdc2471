"""What we correct in Celery: what it logs while a worker stops, and the events of tasks."""

from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection
from kombu.transport.virtual.base import W_NO_CONSUMERS, logger

from settings import load_settings
from worker.app import make_app
from worker.celery_patches import expect_messages_while_stopping


@pytest.fixture(autouse=True)
def _filters() -> Iterator[None]:
    before = list(logger.filters)
    yield
    logger.filters[:] = before


def test_a_message_that_goes_back_into_the_queue_is_worth_no_warning_once_the_worker_stops(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger.warning(W_NO_CONSUMERS, "before")
    expect_messages_while_stopping()
    logger.warning(W_NO_CONSUMERS, "after")
    logger.warning("another")

    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "Requeuing undeliverable message for queue 'before'",
        "another",
    ]


def test_the_event_of_a_task_that_ends_while_others_are_sent_is_sent_with_the_next(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", valkey_url)
    load_settings.cache_clear()
    sent: list[str] = []
    with Connection("memory://") as connection:
        dispatcher = make_app().events.Dispatcher(connection, buffer_group=["task"])
        publish = dispatcher.producer.publish

        def publish_while_a_task_ends(events: list[dict[str, Any]], **options: Any) -> None:
            if not sent:
                dispatcher.send("task-succeeded", uuid="second")
            sent.extend(event["uuid"] for event in events)
            publish(events, **options)

        dispatcher.producer.publish = publish_while_a_task_ends
        dispatcher.send("task-succeeded", uuid="first")
        dispatcher.flush()
        dispatcher.flush()

    assert sent == ["first", "second"]
