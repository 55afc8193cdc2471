"""RabbitMQ out of Debian's package, as a broker of our own: a node on loopback that can die and come back."""

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
    """A node on one port and one directory through its deaths, with an epmd of its own."""

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
            # One scheduler, and none that spins: the node shares its machine with the engine under test.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(free_port(0)),
        }
        self.start()

    @staticmethod
    def url_by(port: int) -> str:
        """Its URL on a port, its own or another that leads there."""
        return f"amqp://guest:guest@127.0.0.1:{port}//"

    def start(self) -> None:
        """Start it; it takes connections when this returns. Raises `TimeoutError`."""
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
        # Not `wait`: in a container nobody may be there to reap them.
        while any(node.is_running() and node.status() != psutil.STATUS_ZOMBIE for node in nodes):
            time.sleep(0.02)

    def freeze(self) -> None:
        """SIGSTOP: connections stay, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def delete_queues(self, *names: str) -> None:
        """Delete queues with all their messages, also those that a consumer has and did not acknowledge."""
        with Connection(self.url) as connection:
            for name in names:
                Queue(name).bind(connection.default_channel).delete()

    def end(self) -> None:
        """Stop it for good, and its epmd."""
        if self._server.poll() is None:
            self.kill()
        command = ["epmd", "-port", self._environment["ERL_EPMD_PORT"], "-kill"]
        # It refuses until it has noticed that its node is gone.
        deadline = time.monotonic() + END_SECONDS
        while subprocess.run(command, check=False, capture_output=True).returncode and time.monotonic() < deadline:
            time.sleep(0.1)

    def _signal(self, number: signal.Signals) -> None:
        os.killpg(self._server.pid, number)


@contextmanager
def running_rabbitmq(home: Path) -> Iterator[RabbitMQ]:
    """A node of which nothing is left when the block ends."""
    server = RabbitMQ(home)
    try:
        yield server
    finally:
        server.end()
