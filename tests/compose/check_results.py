"""Runs inside the sandbox's container, and compares a run's exports with the API's response and the sandbox's truth.

`python - RUN_ID < check_results.py` writes the number of unresolved contacts to standard output. Raises AssertionError
if anything differs.
"""

import csv
import hashlib
import io
import os
import sys
from pathlib import Path
from typing import Any

import httpx

PRECISION = 0.98


def check(run_id: str) -> int:
    """Check a completed run. Returns the number of contacts without an address."""
    with _api() as api:
        state = api.get(f"/api/v1/growth/runs/{run_id}").raise_for_status().json()
        exports = {handle["format"]: _download(api, handle) for handle in state["export_handles"]}
    assert set(exports) == {"csv", "json"}, exports.keys()
    found = {row["crm_id"]: row["email"] for row in _rows(exports["csv"].decode()) if row["email"]}
    truth = {row["crm_id"]: row["email"] for row in _rows(Path("/tmp/truth.csv").read_text())}  # noqa: S108
    right = sum(truth[crm_id] == email for crm_id, email in found.items())
    assert right >= PRECISION * len(found) > 0, f"{right} of {len(found)} addresses found are right"
    unresolved: int = state["gap_report"]["unresolved"]
    assert len(found) + unresolved == len(truth), f"{len(found)} found, {unresolved} unresolved, {len(truth)} in all"
    return unresolved


def _api() -> httpx.Client:
    key = os.environ["GROWTH_API_KEY"]
    return httpx.Client(base_url=os.environ["GROWTH_API_URL"], headers={"Authorization": f"Bearer {key}"})


def _download(api: httpx.Client, handle: dict[str, Any]) -> bytes:
    content = api.get(handle["download_url"]).raise_for_status().content
    assert len(content) == handle["bytes"], handle
    assert hashlib.sha256(content).hexdigest() == handle["sha256"], handle
    return content


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


if __name__ == "__main__":
    sys.stdout.write(str(check(sys.argv[1])))
