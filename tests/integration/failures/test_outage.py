"""If no mail server can be reached at all, a run fails early, with the reason, advice and its credits back."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.client import ApiClient
from cli.local.ports import free_port
from cli.local.stack import Ports, Stack, running_stack
from sandbox.internet import Internet
from tests.integration.conftest import Population, contacts_of

pytestmark = pytest.mark.proof

EARLY_S = 30


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port of 127.0.0.1 that receives packets and answers none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        yield silent.getsockname()[1]


@pytest.fixture
def stack_without(request: pytest.FixtureRequest, internet: Internet, servers_home: Path) -> Iterator[Stack]:
    """An engine that can't reach a part of the network."""
    settings = {**internet.settings(), **request.param(request)}
    home = servers_home / f"outage-{request.node.callspec.id}"
    with running_stack(home, Ports(0, 0), processes=1, settings=settings) as running:
        yield running


def no_resolver(request: pytest.FixtureRequest) -> dict[str, str]:
    return {"DNS_RESOLVERS": f"127.0.0.1:{request.getfixturevalue('silent_port')}"}


def no_port_25(_request: pytest.FixtureRequest) -> dict[str, str]:
    return {"SMTP_PORT": str(free_port(0))}


@pytest.mark.parametrize(
    ("stack_without", "code"),
    [(no_resolver, "no_resolver"), (no_port_25, "smtp_port_blocked")],
    ids=["no-resolver", "no-port-25"],
    indirect=["stack_without"],
)
def test_a_run_fails_early_with_what_to_do_and_the_credits_back(
    stack_without: Stack, code: str, population: Population
) -> None:
    with ApiClient(stack_without.credentials) as client:
        run_id = client.create_run(contacts_of(population.crowd), "full_pipeline")

        def is_over() -> bool:
            return client.read_run(run_id)["status"] in {"failed", "completed"}

        stack_without.engine.wait_until(is_over, "the run's end", seconds=EARLY_S)
        state = client.read_run(run_id)
        (failed,) = [event for event in client.read_events(run_id) if event["kind"] == "failed"]

    assert (state["status"], state["stage_status"]) == ("failed", {"email_lookup": "failed"})
    assert (state["progress"]["error"]["code"], state["progress"]["error"]["stage"]) == (code, "email_lookup")
    assert failed["worker"].startswith("worker-1@")
    assert "growth doctor" in state["progress"]["error"]["message"]
    assert state["preview"]["pricing"]["net_credits"] == 0
