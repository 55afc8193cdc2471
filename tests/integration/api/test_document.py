"""The OpenAPI document is valid and true, and its page loads nothing from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urljoin

import httpx
from openapi_spec_validator import validate

from tests.integration.conftest import Client

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


def test_the_page_loads_nothing_from_elsewhere_and_works_behind_any_prefix(client: Client) -> None:
    page = client.http.get("/docs").text

    urls = re.findall(r"""(?:src|href)="([^"]+)"|url: ?['"]([^'"]+)""", page)
    needed = [one or other for one, other in urls]
    assert len(needed) == 4
    for url in needed:
        assert urljoin("https://proxy.example/any/prefix/docs", url).startswith("https://proxy.example/any/prefix/")
        assert client.http.get(urljoin("/docs", url)).status_code == 200
    assert client.http.get("/openapi.json").json()["servers"] == [{"url": "."}]


def test_a_path_names_each_method_that_it_allows(client: Client) -> None:
    refused = client.http.patch("/api/v1/growth/suppressions")

    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")
    assert list(refused.json()) == ["detail"]


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
