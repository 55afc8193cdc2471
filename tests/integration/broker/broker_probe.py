"""Our Celery application with two tasks more: one that stays in hand until released, one that leaves a mark.

Started as `celery -A tests.integration.broker.broker_probe worker`.
"""

import time
from pathlib import Path

from worker.app import app


@app.task(name="probe.hold")
def hold(directory: str) -> None:
    """Delivered again, as after the broker's death, it ends at once: one copy in hand is enough."""
    place = Path(directory)
    if (place / "held").exists():
        return
    (place / "held").touch()
    while not (place / "release").exists():
        time.sleep(0.05)


@app.task(name="probe.mark")
def mark(path: str) -> None:
    Path(path).touch()
