"""RabbitMQ from Debian's package: a node on loopback that can be killed and restarted."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from kombu import Connection, Queue

from cli.local.ports import free_port

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
IS_INSTALLED = PROGRAM.exists()
NOT_INSTALLED = "needs Debian's package rabbitmq-server"
START_SECONDS = 60
END_SECONDS = 10
STARTED = "Starting broker... completed"


class RabbitMQ:
    """A node that keeps its port and directory across restarts, with an epmd of its own."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True)
        self._home, self.port = home, free_port(0)
        self.url = self.url_by(self.port)
        self._environment = {
            "HOME": str(home),
            "RABBITMQ_NODENAME": f"growth-{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port(0)),
            # One scheduler, which does not busy-wait: the node shares its machine with the engine under test.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(free_port(0)),
        }
        self.start()

    @staticmethod
    def url_by(port: int) -> str:
        """Its URL on its own port or on that of a relay."""
        return f"amqp://guest:guest@127.0.0.1:{port}//"

    def start(self) -> None:
        """Start it. It accepts connections when this returns. Raises `TimeoutError`."""
        output = self._home / "output"
        with output.open("wb") as log:
            self._server = subprocess.Popen(
                [PROGRAM], env={**os.environ, **self._environment}, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while STARTED not in output.read_text():
            if time.monotonic() > deadline or self._server.poll() is not None:
                raise TimeoutError(f"RabbitMQ did not start: {output.read_text()[-500:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """`kill -9`; its ports are free when this returns."""
        nodes = psutil.Process(self._server.pid).children(recursive=True)
        self._signal(signal.SIGKILL)
        self._server.wait()
        # Not `wait`: in a container there may be no process that reaps them.
        while any(node.is_running() and node.status() != psutil.STATUS_ZOMBIE for node in nodes):
            time.sleep(0.02)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, and get no answer."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def delete_queues(self, *names: str) -> None:
        """Delete queues with all their messages, unacknowledged ones too."""
        with Connection(self.url) as connection:
            for name in names:
                Queue(name).bind(connection.default_channel).delete()

    def end(self) -> None:
        """Stop it for good, and its epmd."""
        if self._server.poll() is None:
            self.kill()
        command = ["epmd", "-port", self._environment["ERL_EPMD_PORT"], "-kill"]
        # epmd refuses until it has noticed that its node has ended.
        deadline = time.monotonic() + END_SECONDS
        while subprocess.run(command, check=False, capture_output=True).returncode and time.monotonic() < deadline:
            time.sleep(0.1)

    def _signal(self, number: signal.Signals) -> None:
        os.killpg(self._server.pid, number)


@contextmanager
def running_rabbitmq(home: Path) -> Iterator[RabbitMQ]:
    """A node that is stopped with its epmd when the block ends."""
    server = RabbitMQ(home)
    try:
        yield server
    finally:
        server.end()
