"""Whatever a receiver does costs itself a bounded time, and the others nothing."""

import ssl
import threading
import time
from uuid import UUID

import pytest
import trustme

from models.database import Database
from models.hook import Hook
from pipeline.hooks.deliveries import PER_HOOK
from tests.unit.hooks.hooked import TIMEOUT_S, cancelled_run, deliver, hook, messages, with_deliverer
from tests.unit.hooks.receiver import Behaviour, Handler, Receiver, accept, answering, hang
from worker.hooks.deliverer import Deliverer

BOUND_S = TIMEOUT_S + 3
"""For a busy machine."""


@pytest.fixture
def hooked(database: Database, owner: UUID, receiver: Receiver) -> Hook:
    return hook(database, owner, receiver.url)


def problem(database: Database) -> str:
    (log,) = messages(database, "attempt_log")
    return str(log[-1]["problem"])


def test_a_receiver_that_hangs_is_left_after_the_time_limit(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    receiver.behave = hang
    cancelled_run(database, hooked.account_id)
    began = time.monotonic()

    deliver(database)

    assert time.monotonic() - began < BOUND_S
    assert problem(database) == "no answer within 1 seconds"
    assert messages(database, "state") == ["pending"]


def test_while_one_receiver_hangs_the_others_get_theirs(
    database: Database, hooked: Hook, receiver: Receiver, other_receiver: Receiver
) -> None:
    receiver.behave = hang
    for _ in range(2 * PER_HOOK):
        cancelled_run(database, hooked.account_id)
    hook(database, hooked.account_id, other_receiver.url, every_run=True)
    runs = [cancelled_run(database, hooked.account_id) for _ in range(5)]

    async def look(deliverer: Deliverer) -> None:
        for _ in range(200):
            assert await deliverer.look()
            if len(other_receiver.received) >= len(runs):
                break
            await deliverer.finish(0.01)
        assert receiver.at_once > 0
        receiver.hanging.set()
        await deliverer.finish()

    with_deliverer(database, look, timeout_s=60)

    assert len(other_receiver.received) == len(runs)
    assert receiver.most_at_once == PER_HOOK


def test_a_redirect_is_not_followed(
    database: Database, hooked: Hook, receiver: Receiver, other_receiver: Receiver
) -> None:
    receiver.behave = answering(307, Location=other_receiver.url)
    cancelled_run(database, hooked.account_id)

    deliver(database)

    assert (len(receiver.received), other_receiver.received) == (1, [])
    assert problem(database) == "it answered 307: redirects are not followed, so give the final URL"


def test_of_an_endless_answer_only_the_beginning_is_read(database: Database, hooked: Hook, receiver: Receiver) -> None:
    written = []

    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 40))
        handler.end_headers()
        try:
            while not handler.server.hanging.is_set():
                handler.wfile.write(bytes(1 << 16))
                written.append(1 << 16)
        except OSError:
            ended.set()

    ended = threading.Event()
    receiver.behave = endless
    cancelled_run(database, hooked.account_id)

    deliver(database, timeout_s=30)

    assert ended.wait(10)
    assert sum(written) < 64 << 20
    assert messages(database, "state") == ["delivered"]


def ten_megabytes(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(10 << 20))
    handler.end_headers()
    handler.wfile.write(bytes(10 << 20))


def test_ten_megabytes_are_an_answer_like_any_other(database: Database, hooked: Hook, receiver: Receiver) -> None:
    receiver.behave = ten_megabytes
    cancelled_run(database, hooked.account_id)

    deliver(database, timeout_s=30)

    assert messages(database, "state") == ["delivered"]


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


def no_http(handler: Handler) -> None:
    handler.wfile.write(b"220 mx.example ESMTP\r\n")
    handler.close_connection = True


def endless_header(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: " + bytes(b"x" * (1 << 20)))
    handler.close_connection = True


def drip(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.server.hanging.wait(0.1):
        handler.wfile.write(b"X-More: x\r\n")


def bad_retry_after(handler: Handler) -> None:
    handler.answer(503, Retry_After="-1e999, \xff")


@pytest.mark.parametrize("behaviour", [hang_up, no_http, endless_header, drip, bad_retry_after])
def test_nonsense_is_a_failed_attempt(
    database: Database, hooked: Hook, receiver: Receiver, behaviour: Behaviour
) -> None:
    receiver.behave = behaviour
    cancelled_run(database, hooked.account_id)
    began = time.monotonic()

    deliver(database)

    assert time.monotonic() - began < BOUND_S
    assert messages(database, "state") == ["pending"]
    assert problem(database)


def test_nobody_at_the_port_is_a_failed_attempt(database: Database, owner: UUID) -> None:
    hook(database, owner, "http://127.0.0.1:9/")
    cancelled_run(database, owner)

    deliver(database)

    assert problem(database) == "no connection"


@pytest.mark.parametrize(
    ("name", "is_trusted", "expected"),
    [
        ("localhost", True, ""),
        ("localhost", False, "its certificate is not valid: unable to get local issuer certificate"),
        ("other.test", True, "its certificate is not valid: Hostname mismatch, "),
    ],
)
def test_tls_is_verified(
    database: Database, owner: UUID, receiver: Receiver, name: str, is_trusted: bool, expected: str
) -> None:
    authority, server, client = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(name).configure_cert(server)
    if is_trusted:
        authority.configure_trust(client)
    receiver.socket = server.wrap_socket(receiver.socket, server_side=True)
    hook(database, owner, f"https://localhost:{receiver.port}/")
    cancelled_run(database, owner)

    deliver(database, timeout_s=10, tls=client)

    assert problem(database).startswith(expected)
    assert len(receiver.received) == (0 if expected else 1)


def test_a_connection_is_used_again(database: Database, hooked: Hook, receiver: Receiver) -> None:
    connections = set()

    def note(handler: Handler) -> None:
        connections.add(handler.client_address)
        accept(handler)

    receiver.behave = note
    for _ in range(2):
        cancelled_run(database, hooked.account_id)

    async def look(deliverer: Deliverer) -> None:
        for _ in range(2):
            await deliverer.look()
            await deliverer.finish()
            cancelled_run(database, hooked.account_id)

    with_deliverer(database, look)

    assert len(receiver.received) > len(connections)


def test_neither_url_nor_secret_is_logged(
    database: Database, hooked: Hook, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    receiver.behave = answering(500)
    cancelled_run(database, hooked.account_id)

    deliver(database)

    assert f"hook {hooked.id}" in caplog.text
    assert "t0ken" not in caplog.text
    assert "whsec" not in caplog.text
