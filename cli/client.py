"""The HTTP client of the `growth` command."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit
from uuid import UUID, uuid4

import httpx

from cli.exit_codes import CommandFailed
from cli.terminal import printable
from cli.whole_file import whole_file

RUNS_AT_ONCE = 500
TIMEOUT_S = 60.0
CREATING_TIMEOUT_S = 300.0
ERASING_TIMEOUT_S = 1800.0
CREDENTIALS_FILE = "credentials.json"
COME_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may well succeed."""
UPLOADS = "/api/v1/growth/uploads"
HOOKS = "/api/v1/growth/hooks"
TUS = {"Tus-Resumable": "1.0.0"}
TUS_BYTES = "application/offset+octet-stream"
STATE_KEYS = ("run_id", "status", "stage_status", "progress", "preview", "export_handles")


class ApiError(CommandFailed):
    """Raised when the API refuses a request or can't be reached. Its text is a sentence for the user.

    `status` is the HTTP status of the response, None if there was none.
    """

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


class ApiAway(ApiError):
    """Raised when the API can't be reached, or answers that it is unavailable: the same request may succeed later.

    `retry_after` is the number of seconds to wait, from the `Retry-After` header.
    """

    def __init__(self, sentence: str, status: int | None = None, retry_after: float = 0.0) -> None:
        super().__init__(sentence, status)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Credentials:
    """The API's address and key. For an engine that `growth up` started, also its database and other settings."""

    api_url: str
    api_key: str
    database_url: str = ""
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)

    def save(self, home: Path) -> None:
        """Save them for later `growth` commands, readable only by this user. Raises `Unwritable`."""
        with whole_file(home / CREDENTIALS_FILE, mode=0o600) as file:
            file.write(json.dumps(asdict(self), indent=1).encode())


def find_credentials(home: Path) -> Credentials:
    """Take them from GROWTH_API_URL and GROWTH_API_KEY, or from the home of `growth up`. Raises `ApiError`."""
    url, key = (os.environ.get(name, "").strip() for name in ("GROWTH_API_URL", "GROWTH_API_KEY"))
    if bool(url) != bool(key):
        given, missing = ("GROWTH_API_URL", "GROWTH_API_KEY") if url else ("GROWTH_API_KEY", "GROWTH_API_URL")
        raise ApiError(f"{given} is set and {missing} is not: set both, or neither to use the home of `growth up`.")
    if url:
        return Credentials(_usable_url(url), _usable_key(key))
    saved = read_credentials(home)
    if saved is None:
        raise ApiError(
            f"No API is known: {home} holds none; start one with `growth up`, give --home if it runs with another one, "
            "or set GROWTH_API_URL and GROWTH_API_KEY."
        )
    return saved


def read_credentials(home: Path) -> Credentials | None:
    """Read what `growth up` saved in its home, None if there is nothing. Raises `ApiError` if it can't be read."""
    path = home / CREDENTIALS_FILE
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        return Credentials(**{each.name: saved[each.name] for each in fields(Credentials) if each.name in saved})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ApiError(f"{path} can't be read: {error.strerror}.") from error
    except (ValueError, TypeError) as error:
        raise ApiError(f"{path} is damaged: delete it and start `growth up` again.") from error


def _usable_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        if is_usable and not (parts.username or parts.password or parts.query or parts.fragment):
            return str(httpx.URL(url)).rstrip("/")
    except (ValueError, httpx.InvalidURL):
        pass
    raise ApiError("GROWTH_API_URL is not usable: give the API's address, such as http://127.0.0.1:8000.")


def _usable_key(key: str) -> str:
    if not (key.isascii() and key.isprintable()):
        raise ApiError("GROWTH_API_KEY holds characters that no API key has: copy it again.")
    return key


class ApiClient:
    """The requests that the commands make. Use it as a context manager."""

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
        """Raise `ApiError` unless the API answers and accepts the key, which a 404 for a random run id shows."""
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
        """Create a run and return its id. Raises `ApiError`."""
        return self._create({"contacts": list(contacts)}, preset, preview_rows, idempotency_key)

    def _create(self, assets: Mapping[str, Any], preset: str, preview_rows: int, idempotency_key: str | None) -> str:
        plan = {
            "pipeline_id": "email_discovery_v1",
            "preset": preset,
            "input_assets": assets,
            "output": {"required_fields": ["email"], "preview_rows": preview_rows},
        }
        headers = {} if idempotency_key is None else {"Idempotency-Key": _usable_header(idempotency_key)}
        options = {"json": {"goal_plan": plan}, "headers": headers, "timeout": CREATING_TIMEOUT_S}
        return str(self._object("POST", "/api/v1/growth/run", "run_id", **options)["run_id"])

    def create_run_from(
        self, upload_id: str, preset: str, preview_rows: int = 0, idempotency_key: str | None = None
    ) -> str:
        """Create a run from an upload and return its id. Raises `ApiError`."""
        return self._create({"upload_id": upload_id}, preset, preview_rows, idempotency_key)

    def read_run(self, run_id: str) -> dict[str, Any]:
        """Return the state of a run. Raises `ApiError`."""
        return self._object("GET", _path_of(run_id), *STATE_KEYS)

    def cancel_run(self, run_id: str) -> dict[str, Any]:
        """Cancel a run and return its final state. Raises `ApiError`."""
        return self._object("POST", f"{_path_of(run_id)}/cancel", *STATE_KEYS, timeout=CREATING_TIMEOUT_S)

    def retry_run(self, run_id: str) -> str:
        """Retry a failed or cancelled run and return the new run's id. Raises `ApiError`."""
        answer = self._object("POST", f"{_path_of(run_id)}/retry", "run_id", timeout=CREATING_TIMEOUT_S)
        return str(answer["run_id"])

    def add_export(self, run_id: str, export_format: str) -> dict[str, Any]:
        """Have a finished run exported in a further format; return its state. Raises `ApiError`."""
        return self._object("POST", f"{_path_of(run_id)}/exports", *STATE_KEYS, params={"format": export_format})

    def list_runs(self, most: int, **wanted: str) -> list[dict[str, Any]]:
        """Return the newest runs that are `wanted`, at most so many, fetched page by page. Raises `ApiError`."""
        runs: list[dict[str, Any]] = []
        after: str | None = ""
        while after is not None and len(runs) < most:
            parameters = {**wanted, "after": after, "limit": min(RUNS_AT_ONCE, most - len(runs))}
            page = self._object("GET", "/api/v1/growth/runs", "runs", "next", params=parameters)
            runs += page["runs"]
            after = page["next"]
        return runs

    def read_credits(self) -> dict[str, int]:
        """Return the account's balance, and what its runs hold. Raises `ApiError`."""
        shown = self._object("GET", "/api/v1/growth/credits", "balance", "held", params={"limit": 1})
        return {name: int(shown[name]) for name in ("balance", "held")}

    def read_events(self, run_id: str) -> list[dict[str, Any]]:
        """Return the timeline of a run, oldest event first. Raises `ApiError`."""
        events: list[dict[str, Any]] = self._object("GET", f"{_path_of(run_id)}/timeline", "events")["events"]
        return events

    def change_suppressions(self, action: str, entries: Sequence[str]) -> dict[str, Any]:
        """Add entries to the suppression list, or with the action `/remove` or `/check` do that. Raises `ApiError`."""
        keys = ("suppressed",) if action == "/check" else ("changed", "unchanged", "total")
        return self._object("POST", f"/api/v1/growth/suppressions{action}", *keys, json={"entries": list(entries)})

    def read_suppressions(self) -> Iterator[dict[str, Any]]:
        """Yield the whole suppression list, fetched page by page. Raises `ApiError`."""
        after: str | None = ""
        while after is not None:
            page = self._object("GET", "/api/v1/growth/suppressions", "entries", "next", params={"after": after})
            yield from page["entries"]
            after = page["next"]

    def add_hook(self, hook: Mapping[str, Any]) -> dict[str, Any]:
        """Add a hook and return it with its secret. Raises `ApiError`."""
        return self._object("POST", HOOKS, "hook_id", "secret", json=dict(hook))

    def hooks(self) -> list[dict[str, Any]]:
        """Return the hooks of the account, oldest first. Raises `ApiError`."""
        found: list[dict[str, Any]] = self._object("GET", HOOKS, "hooks")["hooks"]
        return found

    def change_hook(self, hook_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change a hook and return it. Raises `ApiError`."""
        return self._object("PATCH", _hook(hook_id), "hook_id", json=dict(changes))

    def rotate_hook(self, hook_id: str, overlap_hours: float) -> dict[str, Any]:
        """Give a hook a new secret and return it with that. Raises `ApiError`."""
        return self._object("POST", f"{_hook(hook_id)}/rotate", "secret", json={"overlap_hours": overlap_hours})

    def delete_hook(self, hook_id: str) -> None:
        """Delete a hook. Raises `ApiError`."""
        self._check(self._request("DELETE", _hook(hook_id)))

    def deliveries(self, hook_id: str, most: int, **wanted: str) -> list[dict[str, Any]]:
        """Return the newest deliveries that are `wanted`, at most so many, fetched page by page. Raises `ApiError`."""
        found: list[dict[str, Any]] = []
        after: str | None = ""
        while after is not None and len(found) < most:
            parameters = {**wanted, "after": after, "limit": min(RUNS_AT_ONCE, most - len(found))}
            page = self._object("GET", f"{_hook(hook_id)}/deliveries", "deliveries", "next", params=parameters)
            found += page["deliveries"]
            after = page["next"]
        return found

    def replay(self, hook_id: str, delivery_id: str = "", run_id: str = "") -> dict[str, Any]:
        """Deliver one delivery again, or else dead ones; return how many. Raises `ApiError`."""
        if delivery_id:
            return self._object("POST", f"{_hook(hook_id)}/deliveries/{quote(delivery_id, safe='')}/replay", "more")
        return self._object("POST", f"{_hook(hook_id)}/replay", "more", json={"run_id": run_id or None})

    def erase(self, people: Sequence[Mapping[str, str]], *, suppress: bool) -> dict[str, Any]:
        """Erase people from all runs, which may take minutes; return what was removed. Raises `ApiError`."""
        body = {"people": list(people), "suppress": suppress}
        url = "/api/v1/growth/erasures"
        return self._object("POST", url, "erasure_id", json=body, timeout=ERASING_TIMEOUT_S)

    def create_upload(self, name: str, size: int, sha256: str) -> str:
        """Announce a file and return the id of its upload. Raises `ApiError`."""
        parameters = {"name": name, "sha256": sha256}
        headers = {**TUS, "Upload-Length": str(size)}
        return str(self._object("POST", UPLOADS, "upload_id", params=parameters, headers=headers)["upload_id"])

    def takes_companies(self, preset: str) -> bool:
        """Whether a contact may have a company instead of a domain. Raises `ApiError`."""
        presets = self._object("GET", "/api/v1/growth/presets", "presets")["presets"]
        return any("company" in needs for each in presets if each["name"] == preset for needs in each["needs"])

    def uploads(self) -> list[dict[str, Any]]:
        """Return the uploads of the account, newest first. Raises `ApiError`."""
        found: list[dict[str, Any]] = self._object("GET", UPLOADS, "uploads")["uploads"]
        return found

    def upload_offset(self, upload_id: str) -> int:
        """Return how many bytes of an upload have arrived. Raises `ApiError`."""
        response = self._request("HEAD", f"{UPLOADS}/{upload_id}", headers=TUS)
        self._check(response)
        return int(response.headers.get("upload-offset", "0"))

    def send_bytes(self, upload_id: str, start: int, pieces: Iterator[bytes], size: int) -> None:
        """Send `size` bytes of an upload from `start` on. Raises `ApiError`."""
        headers = {**TUS, "Upload-Offset": str(start), "Content-Length": str(size), "Content-Type": TUS_BYTES}
        self._check(self._request("PATCH", f"{UPLOADS}/{upload_id}", headers=headers, content=pieces))

    def read_upload(self, upload_id: str, reading: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Have an upload read, in this way if one is given, and return how it was read. Raises `ApiError`."""
        if reading is None:
            return self._object("GET", f"{UPLOADS}/{upload_id}", "status", timeout=CREATING_TIMEOUT_S)
        url = f"{UPLOADS}/{upload_id}/reading"
        return self._object("PUT", url, "status", json=reading, timeout=CREATING_TIMEOUT_S)

    def rows_read(self, upload_id: str) -> int:
        """Return how many rows of an upload that is being read have been. Raises `ApiError`."""
        return int(self._object("GET", f"{UPLOADS}/{upload_id}/progress", "rows_read")["rows_read"])

    def rejected_rows(self, upload_id: str) -> Iterator[bytes]:
        """Yield the file of an upload's rejected rows as it arrives. Raises `ApiError`."""
        return self._pieces(f"{UPLOADS}/{upload_id}/rejected.csv")

    def delete_upload(self, upload_id: str) -> None:
        """Delete an upload that no run uses. Raises `ApiError`."""
        self._check(self._request("DELETE", f"{UPLOADS}/{upload_id}", headers=TUS))

    def export_pieces(self, run_id: str, asset_id: str) -> Iterator[bytes]:
        """Yield an export file as it arrives; the caller checks that it is complete. Raises `ApiError`."""
        return self._pieces(f"{_path_of(run_id)}/exports/{quote(asset_id, safe='')}")

    def _pieces(self, url: str) -> Iterator[bytes]:
        try:
            with self._http.stream("GET", url) as response:
                if not response.is_success:
                    response.read()
                self._check(response)
                yield from response.iter_bytes()
        except httpx.HTTPError as error:
            raise self._away(error) from error

    def _object(self, method: str, url: str, *keys: str, **options: Any) -> dict[str, Any]:
        """Send a request and return the JSON object of the response, which must have these keys."""
        response = self._request(method, url, **options)
        self._check(response)
        body = _json_of(response)
        if not isinstance(body, dict) or any(key not in body for key in keys):
            raise ApiAway(
                f"What answers at {self.api_url} is no growth engine, or a proxy before it: check GROWTH_API_URL."
            )
        return body

    def _request(self, method: str, url: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, url, **options)
        except httpx.HTTPError as error:
            raise self._away(error) from error

    def _check(self, response: httpx.Response) -> None:
        """Raise `ApiError` unless the request was successful."""
        if response.is_success:
            return
        status, sentence = response.status_code, self._sentence_of(response)
        if status in COME_AGAIN or "Retry-After" in response.headers:
            raise ApiAway(sentence, status, _retry_after(response))
        raise ApiError(sentence, status)

    def _sentence_of(self, response: httpx.Response) -> str:
        body = _json_of(response)
        detail = body.get("detail") if isinstance(body, dict) else None
        if isinstance(detail, str) and detail != response.reason_phrase:
            return printable(detail)
        if response.is_redirect:
            place = printable(response.headers.get("location", "another place"))
            return f"{self.api_url} sends us on to {place}: set GROWTH_API_URL to where the API is."
        reason = printable(f"{response.status_code} {response.reason_phrase}".strip())
        return f"{self.api_url} answers “{reason}” and no reason: check GROWTH_API_URL, and a proxy before the API."

    def _away(self, error: httpx.HTTPError) -> ApiAway:
        is_here = urlsplit(self.api_url).hostname in ("127.0.0.1", "localhost", "::1")
        what = "is `growth up` running?" if is_here else "is it running, and is GROWTH_API_URL right?"
        return ApiAway(f"The API at {self.api_url} does not answer ({_why(error)}): {what}")


def _path_of(run_id: str) -> str:
    return f"/api/v1/growth/runs/{parse_run_id(run_id)}"


def _hook(hook_id: str) -> str:
    return f"{HOOKS}/{quote(hook_id, safe='')}"


def parse_run_id(run_id: str) -> UUID:
    """Read the id of a run. Raises `ApiError`."""
    try:
        return UUID(run_id)
    except ValueError as error:
        example = "7c3e1d22-9b4a-4f8c-b1e2-3d5f0a7c9e1b"
        raise ApiError(f"{run_id!r} is not a run's id: `growth submit` printed it, such as {example}.") from error


def _usable_header(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ApiError("An idempotency key has only letters, digits and punctuation of ASCII: choose another.")
    return text


def _json_of(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _retry_after(response: httpx.Response) -> float:
    """Read `Retry-After` as seconds, from a number or a date; 0 without the header."""
    text = response.headers.get("retry-after", "")
    try:
        return float(text) if text.isdecimal() else max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def _why(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "it takes too long"
    if isinstance(error, httpx.ConnectError):
        return str(error).rpartition("] ")[2].lower() or "no connection"
    if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
        return "the connection was cut"
    return type(error).__name__
