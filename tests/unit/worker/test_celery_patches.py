"""What Celery logs while a worker stops."""

from collections.abc import Iterator

import pytest
from kombu.transport.virtual.base import W_NO_CONSUMERS, logger

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
