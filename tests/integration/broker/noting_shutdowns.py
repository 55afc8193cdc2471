"""Our Celery application, which also notes on stderr how it is told to stop: warm, or cold."""

import os
from typing import Any

from celery.signals import worker_shutting_down

from worker.app import app

__all__ = ["app"]


@worker_shutting_down.connect
def _note(how: str, **_: Any) -> None:
    os.write(2, f"{how} shutdown\n".encode())
