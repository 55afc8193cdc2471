"""A verifier on loopback that speaks Reacher's HTTP, and gives the answer of a test about each address."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

DELIVERABLE = {"can_connect_smtp": True, "has_full_inbox": False, "is_catch_all": False, "is_deliverable": True}


@dataclass(frozen=True)
class Response:
    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def output(**smtp: Any) -> Response:
    """An answer of an instance that reached the mail server."""
    return Response(
        {
            "input": "grace@acme.test",
            "is_reachable": "safe",
            "misc": {"is_disposable": False, "is_role_account": False},
            "mx": {"accepts_mail": True, "records": ["mx.acme.test."]},
            "smtp": {**DELIVERABLE, "is_disabled": False, **smtp},
            "syntax": {"domain": "acme.test", "is_valid_syntax": True, "username": "grace"},
        }
    )


def failed(message: str, kind: str = "SmtpError", description: str | None = None) -> Response:
    """An answer of an instance that got an error."""
    response = output()
    smtp: dict[str, Any] = {"error": {"type": kind, "message": message}}
    if description:
        smtp["description"] = description
    return Response({**response.body, "is_reachable": "unknown", "smtp": smtp})


@dataclass
class Reacher:
    """The addresses that it was asked about; `say` gives the answer about one."""

    say: Callable[[str], Response | None]
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
                body = json.loads(await reader.readexactly(int(headers["content-length"])))
                self.asked.append(body["to_email"])
                self.headers.append({"request": head[0], **headers})
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                await asyncio.sleep(0)
                response = self.say(body["to_email"])
                if response is None:
                    await asyncio.Event().wait()
                    return
                self.at_once -= 1
                writer.write(_message(response))
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def reacher(say: Callable[[str], Response | None]) -> AsyncIterator[Reacher]:
    """Serve; None never answers."""
    service, connections = Reacher(say), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        connections.add(task)  # type: ignore[arg-type]
        await service.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/check_email"
    try:
        yield service
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


def _message(response: Response) -> bytes:
    body = response.body if isinstance(response.body, bytes) else json.dumps(response.body).encode()
    lines = [f"HTTP/1.1 {response.status} Scripted", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
