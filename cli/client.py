"""The API, as the `growth` command uses it: over HTTP, like everybody else."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx

TIMEOUT_S = 60.0
ERASING_TIMEOUT_S = 1800.0
CREDENTIALS_FILE = "credentials.json"


class ApiError(Exception):
    """Raised when the API refuses or can't be reached; its text is a sentence for the user.

    `status` is the answer's HTTP status, None when there was no answer.
    """

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the API is, and the key to it; for an engine of one's own also where its database is."""

    api_url: str
    api_key: str
    database_url: str = ""

    def save(self, home: Path) -> None:
        """Keep them for the next `growth` command, readable by this user only."""
        path = home / CREDENTIALS_FILE
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)))


def find_credentials(home: Path) -> Credentials:
    """From GROWTH_API_URL and GROWTH_API_KEY, or from the running `growth up`. Raises `ApiError`."""
    url, key = os.environ.get("GROWTH_API_URL"), os.environ.get("GROWTH_API_KEY")
    if url and key:
        return Credentials(url.rstrip("/"), key)
    path = home / CREDENTIALS_FILE
    if not path.exists():
        raise ApiError("No API is known: set GROWTH_API_URL and GROWTH_API_KEY, or start one with `growth up`.")
    return Credentials(**json.loads(path.read_text()))


class ApiClient:
    """The requests that the command makes; close it, or use it as a context manager."""

    def __init__(self, credentials: Credentials) -> None:
        self._http = httpx.Client(
            base_url=credentials.api_url,
            headers={"Authorization": f"Bearer {credentials.api_key}"},
            timeout=TIMEOUT_S,
            trust_env=False,
        )
        self.api_url = credentials.api_url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def check_access(self) -> None:
        """Raises `ApiError` unless the API answers and takes the key: it must not know an invented run."""
        try:
            self.read_run(str(uuid4()))
        except ApiError as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise

    def create_run(
        self,
        contacts: Sequence[Mapping[str, str]],
        preset: str,
        preview_rows: int = 0,
        idempotency_key: str | None = None,
    ) -> str:
        """Create a run; its id. Raises `ApiError`."""
        plan = {
            "pipeline_id": "email_discovery_v1",
            "preset": preset,
            "input_assets": {"contacts": list(contacts)},
            "output": {"required_fields": ["email"], "preview_rows": preview_rows},
        }
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        created = self._request("POST", "/api/v1/growth/run", json={"goal_plan": plan}, headers=headers).json()
        return str(created["run_id"])

    def read_run(self, run_id: str) -> dict[str, Any]:
        """A run's state. Raises `ApiError`."""
        state: dict[str, Any] = self._request("GET", f"/api/v1/growth/runs/{run_id}").json()
        return state

    def cancel_run(self, run_id: str) -> dict[str, Any]:
        """Cancel a run; its final state. Raises `ApiError`."""
        state: dict[str, Any] = self._request("POST", f"/api/v1/growth/runs/{run_id}/cancel").json()
        return state

    def retry_run(self, run_id: str) -> str:
        """Retry a failed or cancelled run; the new run's id. Raises `ApiError`."""
        return str(self._request("POST", f"/api/v1/growth/runs/{run_id}/retry").json()["run_id"])

    def read_events(self, run_id: str) -> list[dict[str, Any]]:
        """A run's timeline, oldest first. Raises `ApiError`."""
        events: list[dict[str, Any]] = self._request("GET", f"/api/v1/growth/runs/{run_id}/events").json()["events"]
        return events

    def change_suppressions(self, action: str, entries: Sequence[str]) -> dict[str, Any]:
        """Add to the do-not-contact list; `/remove` and `/check` do that instead. Raises `ApiError`."""
        body = {"entries": list(entries)}
        answer: dict[str, Any] = self._request("POST", f"/api/v1/growth/suppressions{action}", json=body).json()
        return answer

    def read_suppressions(self) -> Iterator[dict[str, Any]]:
        """The whole do-not-contact list, page by page. Raises `ApiError`."""
        after: str | None = ""
        while after is not None:
            page = self._request("GET", "/api/v1/growth/suppressions", params={"after": after}).json()
            yield from page["entries"]
            after = page["next"]

    def erase(self, people: Sequence[Mapping[str, str]], *, suppress: bool) -> dict[str, Any]:
        """Erase people; what was removed. Looks through all runs, which may take minutes. Raises `ApiError`."""
        body = {"people": list(people), "suppress": suppress}
        url = "/api/v1/growth/erasures"
        done: dict[str, Any] = self._request("POST", url, json=body, timeout=ERASING_TIMEOUT_S).json()
        return done

    def download(self, run_id: str, asset_id: str, path: Path) -> None:
        """Save an export file. Raises `ApiError`."""
        url = f"/api/v1/growth/runs/{run_id}/exports/{asset_id}"
        try:
            with self._http.stream("GET", url) as response:
                if response.is_error:
                    response.read()
                _checked(response)
                with path.open("wb") as file:
                    for piece in response.iter_bytes():
                        file.write(piece)
        except httpx.TransportError as error:
            raise ApiError(self._unreachable(error)) from error

    def _request(self, method: str, url: str, **options: Any) -> httpx.Response:
        try:
            return _checked(self._http.request(method, url, **options))
        except httpx.TransportError as error:
            raise ApiError(self._unreachable(error)) from error

    def _unreachable(self, error: httpx.TransportError) -> str:
        return f"The API at {self.api_url} does not answer ({type(error).__name__}): is `growth up` running?"


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        try:
            sentence = response.json()["detail"]
        except (ValueError, KeyError) as error:
            sentence = f"The API answered {response.status_code} without a reason: is its address right?"
            raise ApiError(sentence, response.status_code) from error
        raise ApiError(sentence, response.status_code)
    return response
