"""RabbitMQ as the broker, by its URL: the same runs over a quorum queue."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.client import ApiClient
from cli.processes import worker_command
from cli.stack import Ports, Stack, free_port, running_stack
from sandbox.internet import Internet
from tests.integration.conftest import Population, contacts_of
from tests.integration.test_worker_outlives_broker import wait_for

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

pytestmark = pytest.mark.skipif(not SERVER.exists(), reason="needs Debian's package rabbitmq-server")


@pytest.fixture
def rabbitmq_url(servers_home: Path) -> Iterator[str]:
    home, port = servers_home / "rabbitmq", free_port(0)
    home.mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "RABBITMQ_NODENAME": f"growth-{port}@localhost",
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port(0)),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(free_port(0)),
    }
    output = home / "output"
    with output.open("wb") as log:
        server = subprocess.Popen([SERVER], env=environment, stdout=log, stderr=log, start_new_session=True)
    wait_for(lambda: "Starting broker... completed" in output.read_text(), "RabbitMQ's start")
    yield f"amqp://guest:guest@127.0.0.1:{port}//"
    os.killpg(server.pid, signal.SIGTERM)
    server.wait(30)
    subprocess.run(["epmd", "-port", environment["ERL_EPMD_PORT"], "-kill"], check=True, capture_output=True)


@pytest.fixture
def rabbit_stack(rabbitmq_url: str, internet: Internet, servers_home: Path) -> Iterator[Stack]:
    settings = {**internet.settings(), "BROKER_URL": rabbitmq_url, "CHUNK_SIZE": "10"}
    with running_stack(servers_home / "on-rabbitmq", Ports(0, 0), workers=2, settings=settings) as running:
        yield running


def test_a_run_completes_over_a_quorum_queue_though_a_worker_is_killed(
    rabbit_stack: Stack, population: Population
) -> None:
    engine = rabbit_stack.engine
    with ApiClient(rabbit_stack.credentials) as client:
        run_id = client.create_run(contacts_of(population.hundred), "full_pipeline")
        engine.wait_until(lambda: client.read_run(run_id)["progress"]["percent"] > 0, "the run's start")
        killed = engine.processes.pop(0)
        os.killpg(killed.popen.pid, signal.SIGKILL)
        killed.popen.wait()
        engine.start("worker-3", *worker_command("worker-3", 1))

        engine.wait_until(lambda: client.read_run(run_id)["status"] == "completed", "the run", seconds=60)

        counts = client.read_run(run_id)["preview"]["delivered_counts"]
    assert counts == {"delivered_contacts": 95, "verified_emails": 78}
