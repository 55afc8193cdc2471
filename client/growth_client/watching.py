"""Follows a run until it ends: by its stream of events, and where a proxy lets no stream through, by asking."""

from dataclasses import dataclass
from typing import Any, cast

from growth_client.answers import FINAL, RunState
from growth_client.calls import STATE, path_of, state
from growth_client.errors import Forbidden
from growth_client.retries import Patience, Retries, attempt
from growth_client.server_sent import Event, EventReader, NoEvents
from growth_client.shapes import fits
from growth_client.steps import Close, Give, Lost, Open, Operation, Pause, Read, Reply, Request

SILENCE_S = 45.0
"""The engine sends a comment after 15 seconds of silence: after three times that the connection is dead."""
LONGEST_WAIT_S = 30
EMPTY_STREAMS = 2
"""After so many streams that ended without any event, the client asks instead."""


@dataclass(slots=True)
class _Watch:
    """What is known of a run that is followed."""

    run_id: str
    patience: Patience
    last_id: str = ""
    shown: Any = None
    has_ended: bool = False
    empty_streams: int = 0
    reconnect_s: float = 0.0

    def take(self, event: Event) -> list[Give]:
        """What an event gives to the reader. A state that was given before is not given again."""
        self.patience.renew()
        self.empty_streams = 0
        if event.kind == "refused":
            raise Forbidden(event.data.get("detail") or "The key is not served any more.", 403)
        if event.kind == "end":
            self.has_ended = True
            return []
        if event.kind == "state":
            if not fits(event.data, STATE):
                raise NoEvents("an event is no state of a run")
            if event.data == self.shown:
                return []
            self.shown = event.data
        self.last_id = event.id
        return [Give(event)]


def events(run_id: str, last_event_id: str, retries: Retries) -> Operation[None]:
    """Give each event of a run, until it has ended: its states, and after `last_event_id` the steps of its history.

    Raises `Refused`, and `Unreachable` once the API has been away for longer than the client is patient.
    """
    watch = _Watch(run_id, Patience(retries), last_event_id)
    while not watch.has_ended:
        if watch.empty_streams >= EMPTY_STREAMS:
            yield from _ask_until_the_end(watch)
            return
        yield from _follow(watch, retries)


def _follow(watch: _Watch, retries: Retries) -> Operation[None]:
    """Follow one stream to its end, and wait before the next one."""
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    headers |= {"Last-Event-ID": watch.last_id} if watch.last_id else {}
    watch.empty_streams += 1
    failure: Reply | Lost = Lost("the stream ended")
    try:
        reply: Reply = yield Open(Request("GET", path_of(watch.run_id, "events"), (), headers, timeout_s=SILENCE_S))
        if reply.status == 204:
            yield from _give_last_state(watch, retries)
        elif not reply.is_success:
            failure = reply
        elif reply.headers.get("content-type", "").startswith("text/event-stream"):
            yield from _read(watch)
        else:
            watch.empty_streams = EMPTY_STREAMS
    except Lost as lost:
        failure = lost
    except NoEvents:
        watch.empty_streams = EMPTY_STREAMS
    yield Close()
    if _has_no_stream(failure):
        watch.empty_streams = EMPTY_STREAMS
    elif not watch.has_ended and watch.empty_streams < EMPTY_STREAMS:
        pause = watch.patience.after(failure)
        yield Pause(max(pause.seconds, watch.reconnect_s)) if isinstance(failure, Lost) else pause


def _read(watch: _Watch) -> Operation[None]:
    reader = EventReader(watch.last_id)
    while not watch.has_ended and (piece := (yield Read())):
        for event in reader.feed(piece):
            yield from watch.take(event)
        watch.reconnect_s = reader.retry_s


def _has_no_stream(failure: Reply | Lost) -> bool:
    """Whether what is before the API knows no streams. A run that does not exist shows when its state is asked for."""
    return isinstance(failure, Reply) and failure.status in (404, 405, 406, 501)


def _give_last_state(watch: _Watch, retries: Retries) -> Operation[None]:
    last = yield from state(watch.run_id, retries)
    yield from watch.take(Event("state", last, watch.last_id))
    watch.has_ended = True


def _ask_until_the_end(watch: _Watch) -> Operation[None]:
    """Ask for the next state again and again; each request waits at the API until there is one."""
    etag = ""
    watch.patience.renew()
    while not watch.has_ended:
        headers = {"If-None-Match": etag} if etag else {}
        params = (("wait", str(LONGEST_WAIT_S)),) if etag else ()
        asked = Request("GET", path_of(watch.run_id), params, headers, timeout_s=SILENCE_S)
        reply = yield from attempt(asked)
        if isinstance(reply, Reply) and reply.status == 304:
            watch.patience.renew()
        elif isinstance(reply, Reply) and reply.is_success:
            etag = tag if (tag := reply.headers.get("etag", "")).isascii() else ""
            now = cast("RunState", reply.object(STATE))
            yield from watch.take(Event("state", now, watch.last_id))
            watch.has_ended = now["status"] in FINAL
            if not etag and not watch.has_ended:
                yield Pause(1.0)
        else:
            yield watch.patience.after(reply)
