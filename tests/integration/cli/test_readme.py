"""The examples of the README, run unchanged."""

import os
import re
import subprocess
import sys
from pathlib import Path

from cli.local.stack import Stack
from tests.integration.conftest import Client


def code_block(root: Path, language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", (root / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def test_the_two_calls_in_process_create_a_run_that_completes(project_root: Path, client: Client, stack: Stack) -> None:
    preamble = (
        f"from uuid import UUID\nDATABASE_URL = {stack.engine.environment['DATABASE_URL']!r}\n"
        f"account_id = UUID({str(client.account.account_id)!r})\n"
    )
    program = preamble + code_block(project_root, "python") + "\nprint(run.run_id)"

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, **stack.engine.environment},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert client.finished(done.stdout.strip())["status"] == "completed"


def test_the_request_over_http_is_accepted(project_root: Path, client: Client) -> None:
    body = re.search(r"-d '(\{.*?\})'", (project_root / "README.md").read_text(), re.DOTALL)
    assert body

    response = client.http.post("/api/v1/growth/run", content=body[1])

    assert response.status_code == 202
    assert client.finished(response.json()["run_id"])["status"] == "completed"
