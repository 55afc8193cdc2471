"""The client that blocks until an answer is there."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from growth_client import calls, downloading, uploading, watching
from growth_client.answers import (
    Accepted,
    EmailStatus,
    FileHandle,
    Output,
    Preset,
    Quote,
    RunInList,
    RunState,
    Status,
    TimelineEvent,
    Upload,
)
from growth_client.retries import Retries
from growth_client.server_sent import Event
from growth_client.steps import Call, Close, Give, Open, Operation, Pause, Read, Reply, Request, Running, Send, Step
from growth_client.wiring import Access, Body, is_in_memory, lost, opened, sendable

T = TypeVar("T")


class GrowthClient:
    """A client of the engine's API. Use it as a context manager, or `close` it.

    `http` is a client of httpx with settings of yours, such as a proxy or certificates; it stays open.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        retries: Retries | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self._access = Access(base_url, api_key)
        self._retries = retries or Retries()
        self._is_mine = http is None
        self._http = http or httpx.Client()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._is_mine:
            self._http.close()

    def submit(
        self,
        contacts: Iterable[Mapping[str, Any]] | None = None,
        *,
        upload_id: str | None = None,
        preset: Preset = "full_pipeline",
        output: Output | None = None,
        quote_token: str | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Create a run of contacts, or of those of an upload. The same `idempotency_key` gives the same run.

        Raises `Invalid`, `InsufficientCredits`, `Conflict`, `Forbidden`.
        """
        plan = calls.plan_of(contacts, upload_id, preset, output)
        return self._result(calls.submit(plan, quote_token, idempotency_key, self._retries))

    def submit_plan(
        self, goal_plan: Mapping[str, Any], *, quote_token: str | None = None, idempotency_key: str | None = None
    ) -> Accepted:
        """Create a run of a `goal_plan`, such as the one of a quote."""
        return self._result(calls.submit(goal_plan, quote_token, idempotency_key, self._retries))

    def quote(
        self,
        contacts: Iterable[Mapping[str, Any]] | None = None,
        *,
        upload_id: str | None = None,
        preset: Preset = "full_pipeline",
        output: Output | None = None,
        max_credits: int | None = None,
    ) -> Quote:
        """Ask what a run would cost and find. Nothing is charged."""
        plan = calls.plan_of(contacts, upload_id, preset, output)
        return self._result(calls.quote(plan, max_credits, self._retries))

    def upload(
        self,
        source: Path | str | bytes,
        *,
        name: str | None = None,
        preset: Preset = "full_pipeline",
        mapping: Mapping[str, str] | None = None,
        encoding: str | None = None,
    ) -> Upload:
        """Upload a file of contacts, given by its path or its bytes. One that was cut off is continued.

        Raises `UploadRefused` if it can't be used.
        """
        reading = uploading.Reading(preset, mapping or {}, encoding)
        return self._result(uploading.upload(uploading.file_of(source, name), reading, self._retries))

    def state(self, run_id: str) -> RunState:
        """Read the state of a run."""
        return self._result(calls.state(run_id, self._retries))

    def watch(self, run_id: str) -> Iterator[RunState]:
        """Yield each new state of a run, until it has ended."""
        for event in self.events(run_id):
            if event.kind == "state":
                yield event.data

    def events(self, run_id: str, last_event_id: str = "") -> Iterator[Event]:
        """Yield the states of a run and the steps of its history, until it has ended.

        `last_event_id` is the `id` of the last event that was seen, by a process before.
        """
        return self._items(Running(watching.events(run_id, last_event_id, self._retries)))

    def runs(
        self, *, status: Status | None = None, preset: Preset | None = None, since: str | None = None
    ) -> Iterator[RunInList]:
        """Yield the account's runs, newest first."""
        wanted = {"status": status, "preset": preset, "since": since}
        return self._items(Running(calls.runs(wanted, self._retries)))

    def results(self, run_id: str, *, status: Sequence[EmailStatus] = ()) -> Iterator[dict[str, Any]]:
        """Yield the results of a run so far, in the order in which the contacts were sent."""
        return self._items(Running(calls.results(run_id, status, self._retries)))

    def timeline(self, run_id: str) -> list[TimelineEvent]:
        """Read what happened to a run."""
        return self._result(calls.timeline(run_id, self._retries))

    def download(self, run_id: str, place: Path | str, what: str = "csv") -> FileHandle:
        """Download a file of a run, checked: an export by its format, or an artifact by its `asset_id`.

        Raises `DownloadFailed`. The file is complete, or it is not there.
        """
        return self._result(downloading.download(run_id, Path(place), what, self._retries))

    def cancel(self, run_id: str) -> RunState:
        """Cancel a run; return its final state. Raises `Conflict` if it has ended otherwise."""
        return self._result(calls.cancel(run_id, self._retries))

    def retry(self, run_id: str) -> Accepted:
        """Continue a failed or cancelled run as a new one."""
        return self._result(calls.retry(run_id, self._retries))

    def _result(self, operation: Operation[T]) -> T:
        running = Running(operation)
        for _ in self._items(running):
            pass
        return running.result

    def _items(self, running: Running[Any]) -> Iterator[Any]:
        """Perform the steps of an operation, and yield what it gives."""
        with closing(running), _Wire(self._http, self._access) as wire:
            step = running.next()
            while step is not None:
                if isinstance(step, Give):
                    yield step.item
                    step = running.next()
                else:
                    step = running.next(wire.outcome(step))


class _Wire:
    """The connection of one operation."""

    def __init__(self, http: httpx.Client, access: Access) -> None:
        self._http, self._access = http, access
        self._opened: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def outcome(self, step: Step) -> Any:
        """What comes of a step."""
        try:
            return self._perform(step)
        except httpx.RequestError as error:
            return lost(error)

    def _perform(self, step: Step) -> Any:
        match step:
            case Send(request):
                with closing(self._sent(request)) as response:
                    return _whole(response)
            case Open(request):
                return self._open(request)
            case Read():
                return next(self._pieces, b"")
            case Close():
                return self._close()
            case Pause(seconds):
                return time.sleep(seconds)
            case Call(function):
                return function()
        return None

    def _open(self, request: Request) -> Reply:
        self._close()
        self._opened = response = self._sent(request)
        if not response.is_success:
            return _whole(response)
        reply = opened(response)
        self._pieces = _pieces_of(response)
        return reply

    def _sent(self, request: Request) -> httpx.Response:
        return self._http.send(sendable(self._http, self._access.options(request)), stream=True)

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        self._opened, self._pieces = None, iter(())


def _whole(response: httpx.Response) -> Reply:
    body = Body(response)
    for piece in _pieces_of(response):
        if not body.take(piece):
            break
    return body.reply()


def _pieces_of(response: httpx.Response) -> Iterator[bytes]:
    """The bytes as they come: unpacked, a few may be more than memory holds."""
    return response.iter_bytes() if is_in_memory(response) else response.iter_raw()
