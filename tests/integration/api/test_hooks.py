"""Hooks over HTTP and on the command line, delivered by the running engine."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cli.local.ports import free_port
from cli.local.stack import Stack
from models.hook_wire import DELIVERY, HOOK, DeliveriesPage, Delivery, HookBody, HookShown
from tests.faults.engine import wait_until
from tests.integration.conftest import Client, Population
from tests.unit.hooks.receiver import Receiver, accept, refuse, running_receiver

API = "/api/v1/growth/hooks"
EVERYTHING = ["run.completed", "run.failed", "run.cancelled", "run.progress", "contact.finished"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


def add(client: Client, url: str, **given: Any) -> dict[str, Any]:
    answer = client.http.post(API, json={"url": url, **given})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def bodies(receiver: Receiver, hook: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [each.verified(hook["secret"]) for each in receiver.received]


def of_type(receiver: Receiver, hook: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    return [body["data"] for body in bodies(receiver, hook) if body["type"] == kind]


def test_a_run_is_followed_by_its_hook_alone(
    client: Client, stranger: Client, population: Population, receiver: Receiver
) -> None:
    hook = add(client, receiver.url, events=EVERYTHING)
    add(stranger, receiver.url, events=EVERYTHING)
    run_id = client.create(population.hundred)

    state = client.finished(run_id)
    wait_until(lambda: bool(of_type(receiver, hook, "run.completed")), "the end of the run", seconds=20)

    seen = bodies(receiver, hook)
    assert {body["data"]["run_id"] for body in seen} == {run_id}
    assert seen[-1]["type"] == "run.completed"
    (last,) = of_type(receiver, hook, "run.completed")
    assert without_links(last) == without_links(state)
    announced = [contact for data in of_type(receiver, hook, "contact.finished") for contact in data["contacts"]]
    results = client.http.get(f"/api/v1/growth/runs/{run_id}/results").json()["results"]
    by_id = {contact["crm_id"]: contact for contact in announced}
    assert len(announced) == len(by_id) == 100
    assert [by_id[each["crm_id"]] for each in results] == results
    for body in seen:
        HookBody.model_validate(body)


def without_links(state: Any) -> Any:
    """A state without signatures and the hour at which they end."""
    return re.sub(r'"download_url": "[^"]*"|\'download_url\': \'[^\']*\'', "", str(state))


def test_a_run_names_a_hook_for_itself(client: Client, population: Population, receiver: Receiver) -> None:
    hook = add(client, receiver.url, runs="named")
    plan = {
        "pipeline_id": "email_discovery_v1",
        "preset": "full_pipeline",
        "input_assets": {"contacts": [{"full_name": "Grace Hopper", "domain": population.domains[0].name}]},
    }
    other = client.http.post("/api/v1/growth/run", json={"goal_plan": plan}).json()["run_id"]
    named = client.http.post(
        "/api/v1/growth/run", json={"goal_plan": plan | {"output": {"hooks": [hook["hook_id"]]}}}
    ).json()["run_id"]
    unknown = client.http.post("/api/v1/growth/run", json={"goal_plan": plan | {"output": {"hooks": [str(uuid4())]}}})

    client.finished(other)
    client.finished(named)
    wait_until(lambda: bool(receiver.received), "the end of the run", seconds=20)

    assert [body["data"]["run_id"] for body in bodies(receiver, hook)] == [named]
    assert unknown.status_code == 422
    assert "goal_plan.output.hooks" in unknown.json()["detail"]


def test_the_secret_is_shown_when_it_is_made_and_never_again(client: Client, receiver: Receiver) -> None:
    added = client.http.post(API, json={"url": receiver.url, "description": "CRM"})
    hook = added.json()
    url = f"{API}/{hook['hook_id']}"

    assert added.headers["cache-control"] == "no-store"
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", hook.pop("secret"))
    assert client.http.get(url).json() == hook
    assert client.http.get(API).json() == {"hooks": [hook]}
    assert HookShown.model_validate(hook).description == "CRM"
    rotated = client.http.post(f"{url}/rotate", json={"overlap_hours": 0}).json()
    assert rotated.pop("secret").startswith("whsec_")
    assert rotated == hook


def test_a_hook_is_changed_and_deleted(client: Client, receiver: Receiver) -> None:
    url = f"{API}/{add(client, receiver.url)['hook_id']}"

    changed = client.http.patch(url, json={"events": ["run.failed"], "runs": "named", "enabled": False}).json()
    same = client.http.patch(url, json={"url": None, "events": None}).json()

    assert (changed["events"], changed["runs"], changed["enabled"]) == (["run.failed"], "named", False)
    assert same == changed
    assert client.http.delete(url).status_code == 204
    assert client.http.get(url).status_code == client.http.delete(url).status_code == 404
    assert client.http.get(API).json() == {"hooks": []}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "field url"),
        ({"url": "ftp://app.example/"}, "field url: it must begin with https://"),
        ({"url": "https://app.example/", "events": []}, "field events"),
        ({"url": "https://app.example/", "events": ["run.exploded"]}, "field events.0"),
        ({"url": "https://app.example/", "events": ["run.failed", "run.failed"]}, "field events"),
        ({"url": "https://app.example/", "secret": "whsec_mine"}, "field secret"),
        ({"url": "https://app.example/", "description": "x" * 201}, "field description"),
    ],
)
def test_a_hook_that_can_not_be_used_is_refused_with_a_sentence(
    client: Client, body: Mapping[str, Any], named: str
) -> None:
    answer = client.http.post(API, json=body)

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(named)
    assert client.http.get(API).json() == {"hooks": []}


def test_hooks_of_another_account_are_not_found(
    client: Client, stranger: Client, population: Population, receiver: Receiver
) -> None:
    hook = add(client, receiver.url)
    url = f"{API}/{hook['hook_id']}"
    client.finished(client.create(population.hundred[:1]))
    wait_until(lambda: bool(receiver.received), "the end of the run", seconds=20)
    (delivery,) = client.http.get(f"{url}/deliveries").json()["deliveries"]
    calls = [
        ("GET", url, None),
        ("PATCH", url, {"enabled": False}),
        ("DELETE", url, None),
        ("POST", f"{url}/rotate", {}),
        ("GET", f"{url}/deliveries", None),
        ("POST", f"{url}/replay", {}),
        ("POST", f"{url}/deliveries/{delivery['delivery_id']}/replay", None),
    ]

    theirs = [stranger.http.request(method, path, json=body) for method, path, body in calls]
    nobodys = [
        client.http.request(method, path.replace(hook["hook_id"], each), json=body)
        for method, path, body in calls
        for each in (str(uuid4()), "x")
    ]

    assert {each.status_code for each in (*theirs, *nobodys)} == {404}
    assert {each.json()["detail"] for each in theirs} == {nobodys[0].json()["detail"]}
    assert stranger.http.get(API).json() == {"hooks": []}
    assert client.http.get(url).json()["enabled"]


def test_a_delivery_that_failed_is_in_the_log_and_can_be_replayed(
    client: Client, population: Population, receiver: Receiver
) -> None:
    hook = add(client, receiver.url)
    url = f"{API}/{hook['hook_id']}/deliveries"
    receiver.behave = refuse
    client.finished(client.create(population.hundred[:1]))
    wait_until(lambda: bool(client.http.get(url).json()["deliveries"][:1]), "a delivery", seconds=20)
    wait_until(lambda: bool(client.http.get(url).json()["deliveries"][0]["log"]), "an attempt", seconds=20)
    (failed,) = client.http.get(url, params={"state": "pending"}).json()["deliveries"]
    early = client.http.post(f"{url}/{failed['delivery_id']}/replay")
    receiver.behave = accept
    wait_until(lambda: client.http.get(url).json()["deliveries"][0]["state"] == "delivered", "it", seconds=30)

    again = client.http.post(f"{url}/{failed['delivery_id']}/replay")
    wait_until(lambda: len(receiver.received) == 3, "the replay", seconds=20)

    assert failed["log"][0]["status"] == 500
    assert failed["log"][0]["problem"] == "it answered 500"
    assert (early.status_code, again.status_code) == (409, 202)
    assert {each.id for each in receiver.received} == {failed["webhook_id"]}
    page = client.http.get(url, params={"limit": 1}).json()
    rest = client.http.get(url, params={"limit": 2, "after": page["next"]}).json()
    assert len(DeliveriesPage.model_validate(page).deliveries) == 1
    assert [each["delivery_id"] for each in rest["deliveries"]] == [failed["delivery_id"]]
    assert rest["next"] is None


def test_the_examples_in_the_document_are_what_is_answered() -> None:
    assert HookShown.model_validate(HOOK).model_dump(mode="json") == HOOK
    assert Delivery.model_validate(DELIVERY).model_dump(mode="json") == DELIVERY


def growth(client: Client, *arguments: str) -> str:
    environment = {**os.environ, "GROWTH_API_URL": client.api.api_url, "GROWTH_API_KEY": client.account.api_key}
    command = [str(Path(sys.executable).with_name("growth")), *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def test_the_receiver_of_the_page_verifies_what_the_engine_sends(
    client: Client, population: Population, project_root: Path, tmp_path: Path, stack: Stack
) -> None:
    """The receiver and the commands of docs/how-to/webhooks.md, as they stand there."""
    page = (project_root / "docs" / "how-to" / "webhooks.md").read_text()
    program = tmp_path / "receiver.py"
    program.write_text(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0])
    port = free_port(0)
    added = growth(client, "hooks", "add", f"http://127.0.0.1:{port}/growth", "--event", "run.completed")
    hook_id, secret = re.findall(r"Hook (\S+)\.\n.*(whsec_\S+)", added)[0]
    environment = {**os.environ, "GROWTH_HOOK_SECRET": secret, "PORT": str(port)}
    with subprocess.Popen([sys.executable, program], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        wait_until(lambda: answers(port), "the receiver", seconds=10)
        run_id = client.create(population.hundred[:1])
        assert process.stdout.readline().split() == ["run.completed", run_id]
        wait_until(lambda: "delivered" in growth(client, "hooks", "deliveries", hook_id), "the log", seconds=10)
        process.terminate()

    assert hook_id in growth(client, "hooks", "list")
    assert "whsec_" in growth(client, "hooks", "rotate", hook_id)
    assert growth(client, "hooks", "deliveries", hook_id, "--state", "dead", "--json").strip() == "[]"
    assert growth(client, "hooks", "replay", hook_id, "--dead") == "Delivered again within seconds: 0.\n"
    assert "disabled" in growth(client, "hooks", "change", hook_id, "--disable")
    assert "enabled" in growth(client, "hooks", "change", hook_id, "--enable")
    growth(client, "hooks", "remove", hook_id)
    assert hook_id not in growth(client, "hooks", "list")


def answers(port: int) -> bool:
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
