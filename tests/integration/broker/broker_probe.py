"""Our Celery application with two more tasks: one runs until it is released, the other creates a file.

Started as `celery -A tests.integration.broker.broker_probe worker`.
"""

import time
from pathlib import Path

from worker.app import app


@app.task(name="probe.hold")
def hold(directory: str) -> None:
    """Run until released. A second delivery, as after the death of the broker, ends at once."""
    place = Path(directory)
    if (place / "held").exists():
        return
    (place / "held").touch()
    while not (place / "release").exists():
        time.sleep(0.05)


@app.task(name="probe.mark")
def mark(path: str) -> None:
    Path(path).touch()
