"""Runs with a paid provider alone, since port 25 is blocked: nothing is lost, and nothing is paid twice."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import pytest

from cli.client import ApiClient
from cli.local.ports import free_port
from cli.local.processes import EngineProcess, worker_command
from cli.local.stack import Ports, Stack, running_stack
from sandbox import provider
from sandbox.domains import Behaviour
from sandbox.internet import Internet
from sandbox.provider import Provider
from tests.integration.conftest import Population, contacts_of

pytestmark = pytest.mark.proof

PROVIDERS_FILE = """
[[provider]]
name = "paid"
url = "{url}"
query = {{ full_name = "{{full_name}}", domain = "{{domain}}" }}
headers = {{ X-API-KEY = "${{PAID_KEY}}" }}
idempotency_header = "Idempotency-Key"
email = "data.email"
score = "data.score"
price = 0.25
timeout = 2
at_once = 4
per_second = 1000
"""
CONTACTS = 40
ANSWERED_FIRST = 10


@pytest.fixture
def people(population: Population) -> Sequence[Mapping[str, str]]:
    """People without a mailbox at their mail servers, the first of them twice in the list."""
    domains = [domain.name for domain in population.domains if domain.behaviour is Behaviour.ORDINARY]
    distinct = [{"full_name": f"Stranger Number{n}", "domain": domains[n % len(domains)]} for n in range(CONTACTS - 1)]
    return [distinct[0], *distinct]


@pytest.fixture
def paid(people: Sequence[Mapping[str, str]]) -> Iterator[Provider]:
    addresses = {(p["full_name"], p["domain"]): f"{p['full_name'].split()[1].lower()}@{p['domain']}" for p in people}
    with Provider(addresses, recognises_keys=True) as running:
        yield running


@pytest.fixture
def stack(internet: Internet, paid: Provider, servers_home: Path, request: pytest.FixtureRequest) -> Iterator[Stack]:
    home = servers_home / f"providers-{request.node.name}"
    home.mkdir()
    (home / "providers.toml").write_text(PROVIDERS_FILE.format(url=paid.url))
    settings = {
        **internet.settings(),
        "SMTP_PORT": str(free_port(0)),
        "PROVIDERS_FILE": str(home / "providers.toml"),
        "PAID_KEY": paid.api_key,
        "CHUNK_SIZE": "15",
        "DEFER_SECONDS": "1,1",
        "LEASE_SECONDS": "1.5",
        "CHECKPOINT_SECONDS": "0.5",
        "SWEEP_SECONDS": "0.25",
    }
    with running_stack(home, Ports(0, 0), workers=2, processes=1, settings=settings) as running:
        yield running


def finished(stack: Stack, client: ApiClient, run_id: str) -> str:
    def is_finished() -> bool:
        return client.read_run(run_id)["status"] in {"completed", "failed"}

    stack.engine.wait_until(is_finished, "the run", seconds=90)
    status: str = client.read_run(run_id)["status"]
    return status


def kill_workers(stack: Stack) -> None:
    workers = [process for process in stack.engine.processes if process.name.startswith("worker")]
    for worker in workers:
        _kill(worker)
        stack.engine.processes.remove(worker)
    for worker in workers:
        stack.engine.start(f"{worker.name}-again", *worker_command(f"{worker.name}-again", 1))


def _kill(worker: EngineProcess) -> None:
    """With its processes, each of which has a session of its own."""
    parent = psutil.Process(worker.popen.pid)
    for process in (*parent.children(recursive=True), parent):
        process.kill()
    worker.popen.wait()


def test_chunk_tasks_killed_between_request_and_answer_pay_each_look_up_once(
    stack: Stack, paid: Provider, people: Sequence[Mapping[str, str]]
) -> None:
    """A second run of the account over the same people then pays nothing, and requests nothing."""
    answers_released = threading.Event()
    paid.script = [provider.answers] * ANSWERED_FIRST
    paid.response = provider.waits_for(answers_released)
    with ApiClient(stack.credentials) as client:
        run_id = client.create_run(people, "full_pipeline")
        paid.wait_for_requests(ANSWERED_FIRST + 2, seconds=60)
        kill_workers(stack)
        answers_released.set()
        status = finished(stack, client, run_id)
        state, requests = client.read_run(run_id), paid.requests.total()
        again = client.create_run(people, "full_pipeline")
        finished(stack, client, again)
        state_again = client.read_run(again)

    assert (status, state["data_source_mix"]["by_source"]) == ("completed", {"paid": CONTACTS})
    assert paid.charges == dict.fromkeys(paid.addresses, 1)
    assert requests > len(paid.addresses), "no answer was lost, so that nothing was tested"
    assert state_again["data_source_mix"] == state["data_source_mix"]
    assert paid.requests.total() == requests


def test_a_run_whose_only_source_rejects_our_key_fails_early_with_the_credits_back(
    stack: Stack, paid: Provider, population: Population
) -> None:
    paid.api_key = "another"
    with ApiClient(stack.credentials) as client:
        run_id = client.create_run(contacts_of(population.crowd), "full_pipeline")
        status = finished(stack, client, run_id)
        state = client.read_run(run_id)

    assert (status, state["progress"]["error"]["code"]) == ("failed", "provider_key_rejected")
    assert "The provider paid rejects our key" in state["progress"]["error"]["message"]
    assert state["preview"]["pricing"]["net_credits"] == 0
    assert paid.charges.total() == 0
