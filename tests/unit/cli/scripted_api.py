"""A real server on loopback that gives the answers of a script, one after the other."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cli.client import Credentials

RUN_ID = "7c3e1d22-9b4a-4f8c-b1e2-3d5f0a7c9e1b"


@dataclass(frozen=True)
class Answer:
    """One answer. `announced` bytes are promised; where fewer come, the connection is cut after them."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    announced: int | None = None


CUT = Answer(body=b"", announced=-1)
"""The connection is closed without a word."""


def state(status: str = "completed", percent: int = 100, **more: Any) -> Answer:
    progress = {"percent": percent, "message": "As it is.", "stages": {}}
    whole = {
        "run_id": RUN_ID, "status": status, "stage_status": {}, "progress": progress,
        "preview": {}, "export_handles": [], **more,
    }  # fmt: skip
    return Answer(body=json.dumps(whole).encode())


def refusal(status: int, sentence: str, **headers: str) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps({"detail": sentence}).encode(), names)


class ScriptedApi:
    """Gives its answers in turn, and the last one again and again. `requests` are those it got, `bodies` theirs."""

    def __init__(self, answers: list[Answer]) -> None:
        self._answers = answers
        self.requests: list[tuple[str, str, Mapping[str, str]]] = []
        self.bodies: list[bytes] = []
        self.was_asked = threading.Event()

    def next_answer(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        self.requests.append((method, path, headers))
        self.was_asked.set()
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@contextmanager
def scripted_api(*answers: Answer) -> Iterator[tuple[Credentials, ScriptedApi]]:
    script = ScriptedApi(list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            script.bodies.append(self.rfile.read(int(self.headers.get("content-length", 0))))
            answer = script.next_answer(self.command, self.path, dict(self.headers))
            self.close_connection = answer.announced is not None
            if answer is CUT:
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) if answer.announced is None else answer.announced))
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Credentials(f"http://127.0.0.1:{server.server_port}", "growth_example"), script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
