"""Each program of examples/ does on the running engine what its first lines say."""

import base64
import csv
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import standardwebhooks
from sqlalchemy import text

from cli.local.ports import free_port
from cli.local.stack import Stack
from models.database import Database
from settings import read_settings
from tests.integration.conftest import Client, Population

SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


@pytest.fixture
def examples(project_root: Path) -> Path:
    return project_root / "examples"


@pytest.fixture
def environment(client: Client, stack: Stack) -> dict[str, str]:
    engine = stack.engine.environment
    return {
        "PATH": os.environ["PATH"],
        "GROWTH_API_URL": client.api.api_url,
        "GROWTH_API_KEY": client.account.api_key,
        "GROWTH_HOOK_SECRET": SECRET,
        "GROWTH_ACCOUNT_ID": str(client.account.account_id),
        "DATABASE_URL": engine["DATABASE_URL"],
        "BROKER_URL": read_settings(redis_url=engine["REDIS_URL"]).celery_broker_url,
        "PYTHONWARNINGS": "error",
    }


@pytest.fixture
def contacts(population: Population, tmp_path: Path) -> Path:
    path = tmp_path / "contacts.csv"
    rows = [f"{n},{p.first_name},{p.last_name},{p.domain}" for n, p in enumerate(population.hundred[:10])]
    path.write_text("\n".join(["id,first_name,last_name,domain", *rows]) + "\n", encoding="utf-8")
    return path


def finished(command: Sequence[str | Path], environment: Mapping[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_script_finds_the_addresses_of_a_file_and_repeats_no_work(
    examples: Path, environment: dict[str, str], contacts: Path, tmp_path: Path, client: Client
) -> None:
    target = tmp_path / "found.csv"
    command = [sys.executable, examples / "script/find_addresses.py", contacts, target]

    printed = finished(command, environment)
    again = finished(command, environment)

    with target.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [str(n) for n in range(10)]
    assert "100% Run complete." in printed
    assert printed.splitlines()[-1] == again.splitlines()[-1]
    assert len(client.api.list_runs(10)) == 1


def test_the_script_says_what_is_wrong_in_one_line(examples: Path, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("full_name,domain\n")
    command = [sys.executable, examples / "script/find_addresses.py", tmp_path / "empty.csv", tmp_path / "found.csv"]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "has a header but no contacts" in done.stderr


def test_curl_finds_the_addresses_of_a_file(
    examples: Path, environment: dict[str, str], contacts: Path, tmp_path: Path
) -> None:
    target = tmp_path / "found.csv"

    printed = finished([examples / "curl/find_addresses.sh", contacts, target], environment)

    assert "completed: Run complete." in printed
    with target.open(newline="", encoding="utf-8-sig") as file:
        assert len(list(csv.DictReader(file))) == 10


@contextmanager
def serving(command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str], port: int) -> Iterator[str]:
    """A server that runs until the block ends."""
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 30
        while not answers(port):
            assert process.poll() is None, process.stdout and process.stdout.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=20)


def answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def hook(kind: str, run_id: str, secret: str = SECRET) -> dict[str, Any]:
    """A webhook as the engine sends it: what httpx takes."""
    body = json.dumps({"type": kind, "timestamp": "2026-11-30T08:00:00Z", "data": {"run_id": run_id}})
    now, message_id = datetime.now(UTC), f"msg_{uuid4().hex}"
    signature = standardwebhooks.Webhook(secret).sign(message_id, now, body)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
        "content-type": "application/json",
    }
    return {"content": body, "headers": headers}


OTHER = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
GRACE = {"full_name": "Grace Hopper", "domain": "alpha.test"}


def test_the_fastapi_application_starts_a_run_streams_its_progress_and_receives_hooks(
    examples: Path, environment: dict[str, str]
) -> None:
    port = free_port(0)
    command = [sys.executable, "-m", "uvicorn", "main:app", "--port", str(port)]
    with (
        serving(command, examples / "fastapi_app", environment, port) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as http,
    ):
        order = {"number": uuid4().hex, "contacts": [GRACE]}
        created, again = (http.post("/orders", json=order) for _ in range(2))
        streamed = http.get(f"/orders/{created.json()['run_id']}/progress").text
        bad = http.post("/orders", json={"number": "1", "contacts": [GRACE | {"domain": " "}]})
        received = [http.post("/hooks/growth", **hook("run.completed", "r", secret)) for secret in (SECRET, OTHER)]

    assert created.status_code == 202
    assert again.json() == created.json()
    assert '"percent": 100' in streamed.splitlines()[-2]
    assert (bad.status_code, bad.json()["detail"].partition(":")[0]) == (422, "contact 1")
    assert [response.status_code for response in received] == [204, 401]


def test_the_django_shop_commits_order_and_run_together_and_receives_hooks(
    examples: Path, environment: dict[str, str], client: Client, stack_database: Database
) -> None:
    port, place = free_port(0), examples / "django_app"
    finished([sys.executable, place / "shop.py", "migrate"], environment)
    command = [sys.executable, "shop.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    try:
        with (
            serving(command, place, environment, port) as url,
            httpx.Client(base_url=url, trust_env=False, timeout=60) as http,
        ):
            number = uuid4().hex
            created = http.post("/orders", json={"number": number, "contacts": [GRACE]})
            bad = http.post("/orders", json={"number": "2", "contacts": [{"full_name": "Grace"}]})
            run_id = created.json()["run_id"]
            state = client.finished(run_id)
            received = [http.post("/hooks/growth", **hook("run.completed", run_id, key)) for key in (SECRET, OTHER)]
            shown = http.get(f"/orders/{number}").json()
            missing = http.get("/orders/2")
    finally:
        with stack_database.transaction() as session:
            session.execute(text("DROP SCHEMA IF EXISTS shop CASCADE"))

    assert created.status_code == 202
    assert state["status"] == "completed"
    assert (bad.status_code, missing.status_code) == (422, 404)
    assert [response.status_code for response in received] == [204, 401]
    assert shown == {"run_id": run_id, "state": "completed"}


def test_the_receiver_hands_on_the_results_of_a_run_once(
    examples: Path, environment: dict[str, str], client: Client, population: Population
) -> None:
    run_id = client.create(population.hundred[:3])
    client.finished(run_id)
    command = [sys.executable, "-u", examples / "n8n/receiver.py", "0"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        url = process.stderr.readline().split()[-1]
        with httpx.Client(base_url=url, trust_env=False) as http:
            statuses = [
                http.post("/", **hook("run.completed", run_id, secret)).status_code
                for secret in (OTHER, SECRET, SECRET)
            ]
            lines = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.terminate()
        rest = process.stdout.read()

    assert statuses == [401, 204, 204]
    assert [line["last_name"] for line in lines] == [person.last_name for person in population.hundred[:3]]
    assert rest == ""


N8N = """
const request = JSON.parse(require("fs").readFileSync(0, "utf8"));
const $input = {first: () => ({json: {headers: request.headers}, binary: {data: {data: request.body}}})};
const $env = {GROWTH_HOOK_SECRET: request.secret};
"""
ZAPIER = """
const request = JSON.parse(require("fs").readFileSync(0, "utf8"));
const named = ([name, value]) => ["HTTP_" + name.toUpperCase().replace(/-/g, "_"), value];
const headers = JSON.stringify(Object.fromEntries(Object.entries(request.headers).map(named)));
const inputData = {body: Buffer.from(request.body, "base64").toString(), headers, secret: request.secret};
"""


def in_node(
    preamble: str, code: str, request: Mapping[str, Any], secret: str = SECRET
) -> subprocess.CompletedProcess[str]:
    """The code as n8n and Zapier run it: as the body of a function."""
    given = {"headers": request["headers"], "body": base64.b64encode(request["content"].encode()).decode()}
    program = f"{preamble}\nconsole.log(JSON.stringify((() => {{\n{code}\n}})()));"
    return subprocess.run(
        ["node", "-e", program],
        input=json.dumps(given | {"secret": secret}),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed")
@pytest.mark.parametrize("preamble", [N8N, ZAPIER], ids=["n8n", "Zapier"])
def test_the_workflows_code_verifies_hooks_in_n8n_and_zapier(examples: Path, preamble: str) -> None:
    code = (examples / "n8n/verify.js").read_text()
    request = hook("run.completed", "r")
    changed = request | {"content": request["content"].replace("completed", "failed")}

    accepted = in_node(preamble, code, request)
    refused = [in_node(preamble, code, changed), in_node(preamble, code, request, OTHER)]

    assert accepted.returncode == 0, accepted.stderr
    event = json.loads(accepted.stdout)
    assert (event[0]["json"] if isinstance(event, list) else event)["data"] == {"run_id": "r"}
    assert all("not signed with this secret" in each.stderr for each in refused)


def test_the_workflow_of_n8n_has_the_code_that_is_tested_and_paths_that_exist(examples: Path, client: Client) -> None:
    workflow = json.loads((examples / "n8n/workflow.json").read_text())
    nodes = {node["name"]: node for node in workflow["nodes"]}

    assert nodes["Verify"]["parameters"]["jsCode"] == (examples / "n8n/verify.js").read_text()
    assert nodes["Hook"]["parameters"]["options"] == {"rawBody": True}
    url = nodes["Results"]["parameters"]["url"].partition("}}")[2]
    path = url.replace("{{ $('Verify').first().json.data.run_id }}", "{run_id}")
    assert path in client.http.get("/openapi.json").json()["paths"]
    steps = [(one, follower["node"]) for one, to in workflow["connections"].items() for follower in to["main"][0]]
    assert steps == [("Hook", "Verify"), ("Verify", "Results"), ("Results", "One item each")]
