"""The examples of the README, run unchanged."""

import re
import subprocess
import sys
from pathlib import Path

from cli.local.stack import Stack
from settings import read_settings
from tests.integration.conftest import Client


def code_block(root: Path, language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", (root / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def test_a_program_creates_a_run_in_its_own_transaction(project_root: Path, client: Client, stack: Stack) -> None:
    engine = stack.engine.environment
    preamble = (
        f"DATABASE_URL = {engine['DATABASE_URL']!r}\n"
        f"BROKER_URL = {read_settings(redis_url=engine['REDIS_URL']).celery_broker_url!r}\n"
        f"account_id = {str(client.account.account_id)!r}\n"
    )
    program = preamble + code_block(project_root, "python") + "\nprint(run.run_id)"

    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert client.finished(done.stdout.strip())["status"] == "completed"


def test_the_request_over_http_is_accepted(project_root: Path, client: Client) -> None:
    body = re.search(r"-d '(\{.*?\})'", (project_root / "README.md").read_text(), re.DOTALL)
    assert body

    response = client.http.post("/api/v1/growth/run", content=body[1])

    assert response.status_code == 202
    assert client.finished(response.json()["run_id"])["status"] == "completed"
