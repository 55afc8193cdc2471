"""The OpenAPI document is valid and true, and its page loads nothing from elsewhere."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urljoin

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from models.wire import Status
from tests.integration.conftest import Client, Population

EXAMPLES = 6
SEED = 1
HOOKS = "tests.integration.api.schemathesis_hooks"


def test_the_document_is_valid_openapi(client: Client) -> None:
    validate(client.http.get("/openapi.json").json())


def test_the_document_states_what_each_call_needs_and_how_it_can_fail(client: Client) -> None:
    document = client.http.get("/openapi.json").json()

    calls = [
        call for path, of_path in document["paths"].items() if path.startswith("/api/") for call in of_path.values()
    ]
    by_link = document["paths"]["/api/v1/growth/runs/{run_id}/exports/{asset_id}"]["get"]
    assert all(call["security"] == [{"HTTPBearer": []}] for call in calls if call != by_link)
    assert by_link["security"] == [{"HTTPBearer": []}, {"APIKeyQuery": []}]
    assert all({"401", "403", "422", "429", "503"} <= set(call["responses"]) for call in calls)
    assert len([call for call in calls if call.get("requestBody", {}).get("required")]) == 13
    assert {"200", "503"} <= set(document["paths"]["/readyz"]["get"]["responses"])


def test_each_call_has_a_group_and_a_short_id_and_a_title_of_its_own(client: Client) -> None:
    document = client.http.get("/openapi.json").json()

    calls = [call for of_path in document["paths"].values() for call in of_path.values()]
    groups = {tag["name"] for tag in document["tags"]}
    assert {name for call in calls for name in call.get("tags", ["none"])} == groups
    assert {len(call["tags"]) for call in calls} == {1}
    assert max(len(call["operationId"]) for call in calls) < 30
    assert [call["operationId"] for call in calls if not re.fullmatch(r"[a-z_]+", call["operationId"])] == []
    assert len({call["operationId"] for call in calls}) == len({call["summary"] for call in calls}) == len(calls)


def test_the_page_loads_nothing_from_elsewhere_and_works_behind_any_prefix(client: Client) -> None:
    page = client.http.get("/docs").text

    urls = re.findall(r"""(?:src|href)="([^"]+)"|url: ?['"]([^'"]+)""", page)
    needed = [one or other for one, other in urls]
    assert len(needed) == 4
    for url in needed:
        assert urljoin("https://proxy.example/any/prefix/docs", url).startswith("https://proxy.example/any/prefix/")
        assert client.http.get(urljoin("/docs", url)).status_code == 200
    assert client.http.get("/openapi.json").json()["servers"] == [{"url": "."}]


def test_the_page_runs_under_a_policy_that_allows_no_script_of_its_own(client: Client) -> None:
    page = client.http.get("/docs")

    assert "script-src 'self'; style-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert re.findall(r"<script(?! src=)|<style|\bon\w+=| style=", page.text) == []
    assert 'url: "openapi.json"' in client.http.get("/docs/start.js").text


@pytest.mark.proof
@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_a_browser_shows_each_call_and_reports_no_violation(client: Client, tmp_path: Path) -> None:
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr"]
    waiting = ["--virtual-time-budget=20000", f"--user-data-dir={tmp_path}", "--dump-dom"]
    command = ["chromium", *options, *waiting, f"{client.api.api_url}/docs"]

    shown = subprocess.run(command, capture_output=True, text=True, timeout=110)

    paths = [path for path in client.http.get("/openapi.json").json()["paths"] if path.startswith("/api/")]
    assert [path for path in paths if f'data-path="{path}"' not in shown.stdout] == []
    assert "Content Security Policy" not in shown.stderr


def test_each_error_and_each_state_has_an_example(client: Client) -> None:
    document = client.http.get("/openapi.json").json()

    errors = [
        (path, method, status)
        for path, calls in document["paths"].items()
        if path.startswith("/api/")
        for method, call in calls.items()
        for status, answer in call["responses"].items()
        if status >= "400" and not answer["content"]["application/json"].get("examples")
    ]
    state = document["paths"]["/api/v1/growth/runs/{run_id}"]["get"]["responses"]["200"]
    assert errors == []
    assert list(state["content"]["application/json"]["examples"]) == list(get_args(Status))


def test_each_example_is_what_its_schema_says(client: Client) -> None:
    document = client.http.get("/openapi.json").json()
    seen = 0

    for place in contents_of(document):
        for name, example in place.get("examples", {}).items():
            schema = {**place["schema"], "components": document["components"]}
            problems = [error.message for error in Draft202012Validator(schema).iter_errors(example["value"])]
            assert problems == [], name
            seen += 1
    assert seen > 100


def contents_of(part: Any) -> Iterator[dict[str, Any]]:
    """Each JSON body that the document describes."""
    if isinstance(part, dict):
        if "application/json" in part:
            yield part["application/json"]
        for inner in part.values():
            yield from contents_of(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from contents_of(inner)


def test_a_real_state_has_the_typed_objects_that_the_document_describes(client: Client, population: Population) -> None:
    run_id = client.create(population.hundred, preview_rows=3)
    state = client.finished(run_id)
    schemas = client.http.get("/openapi.json").json()["components"]["schemas"]

    described = {
        "Preview": state["preview"], "DataSourceMix": state["data_source_mix"], "GapReport": state["gap_report"],
        "Pricing": state["preview"]["pricing"], "DeliveredCounts": state["preview"]["delivered_counts"],
        "Gap": next(iter(state["gap_report"]["reasons"].values())), "FileHandle": state["artifact_handles"][0],
    }  # fmt: skip
    for name, real in described.items():
        assert set(real) == set(schemas[name]["properties"]), name
    assert set(schemas["ResultContact"]["properties"]) <= set(state["result_handles"][0])


def test_a_path_names_each_method_that_it_allows(client: Client) -> None:
    refused = client.http.patch("/api/v1/growth/suppressions")

    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")
    assert list(refused.json()) == ["detail"]


@pytest.mark.proof
def test_schemathesis_finds_no_failure(client: Client, project_root: Path, tmp_path: Path) -> None:
    url, key = client.api.api_url, client.account.api_key
    command = [
        Path(sys.executable).with_name("schemathesis"),
        "--config-file", project_root / "tests/integration/api/schemathesis.toml", "run", f"{url}/openapi.json",
        "--url", url, "--header", f"Authorization: Bearer {key}", "--checks", "all", "--no-color",
        "--seed", str(SEED), "--max-examples", str(EXAMPLES), "--generation-database", "none",
    ]  # fmt: skip

    environment = {**os.environ, "PYTHONPATH": str(project_root), "SCHEMATHESIS_HOOKS": HOOKS}

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110)

    assert done.returncode == 0, done.stdout[-6000:]
    assert httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
