"""Our Celery application whose main process, once it stops, no longer reads the results of its pool processes.

Started as `celery -A tests.integration.broker.unread_results_app worker`. As soon as it reads no more results, the file
named by UNREAD_RESULTS exists. Not to be imported by tests: it changes Celery.
"""

import os
from pathlib import Path

from celery.concurrency.asynpool import ResultHandler

from tests.integration.broker.broker_probe import app

__all__ = ["app"]


def _read_nothing(_handler: ResultHandler) -> None:
    """Replaces reading results until all running tasks have ended."""
    Path(os.environ["UNREAD_RESULTS"]).touch()


ResultHandler.on_stop_not_started = _read_nothing
