"""How much slower runs of ten contacts become while another account sends hostile requests, or meets hostile servers.

The whole engine runs as a user would run it: PostgreSQL, Valkey, one Celery worker of two processes, API, the sandbox's
DNS and SMTP servers, and those of `bench.servers.hostile` behind the same name server. Each scene repeats one hostile
request for as long as the small runs take; the last one is a run that meets every hostile server. A small run's time
is what its client sees, from before its POST until it reads `completed`. Ends in one line of JSON: of each scene the
median in ms, the slowdown against the small runs alone before and after, and the number of responses by status; of the
run that meets hostile servers, after how many seconds it ended; and `worst_slowdown`, which should be 1.5 at most.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send

from bench.reporting.results import publish
from bench.reporting.turns import Table
from bench.servers.hostile import HostileServers, hostile_servers
from cli.accounts import create_account
from cli.client import ApiClient
from cli.local.stack import Ports, Stack, running_stack
from cli.watching import FINISHED
from models.database import open_database
from sandbox.domains import invent_domains
from sandbox.internet import Internet
from sandbox.people import Person, invent_exactly

CONTACTS = 10
TEN_MS = "ten contacts: ms"
WARM_UP = 3
CONTACT_TIMEOUT_S = 10
MEGABYTES = 1024 * 1024
SENDERS = 3
BARE = "60 MB to a bare server"
PERSON = b'{"full_name":"Ada Example","domain":"nowhere.example"'
RUN, ERASURES, SUPPRESSIONS = (f"/api/v1/growth/{name}" for name in ("run", "erasures", "suppressions"))

Request = tuple[str, bytes]


def run_of(contacts: Sequence[bytes], output: bytes = b'{"export_formats":[]}') -> Request:
    """A request for a run of these contacts, each of them JSON."""
    plan = b'{"goal_plan":{"pipeline_id":"email_discovery_v1","preset":"full_pipeline","input_assets":{"contacts":['
    return RUN, plan + b",".join(contacts) + b']},"output":' + output + b"}}"


def repeated_to(item: bytes, megabytes: int = 60) -> list[bytes]:
    """An item as often as fits into a body of this size."""
    return [item] * (megabytes * MEGABYTES // (len(item) + 1))


def hostile_requests() -> Iterator[tuple[str, Request]]:
    """Requests that cost the engine much, by name."""
    people = [{"full_name": f"Ada Example{number}", "domain": "nowhere.example"} for number in range(1000)]
    hashes = [f"{number:064x}" for number in range(10_000)]
    yield "export formats", run_of([PERSON + b"}"], b'{"export_formats":[' + b",".join([b'"csv"'] * 30_000) + b"]}")
    yield "distinct columns", run_of([PERSON + b',"c%d":1}' % number for number in range(250_000)])
    yield "bad contacts", run_of([b'{"full_name":1,"domain":1,"email":1}'] * 250_000)
    yield "contacts without a domain", run_of([b'{"full_name":"Ada Example"}'] * 250_000)
    yield "60 MB of empty contacts", run_of(repeated_to(b"{}"))
    yield "60 MB of lists", run_of([b'{"x":[' + b",".join(repeated_to(b"[]")) + b"]}"])
    yield "60 MB of long contacts", run_of(repeated_to(PERSON + b',"x":[' + b",".join([b"[]"] * 80_000) + b"]}"))
    yield "200,000 contacts, the last one bad", run_of([PERSON + b"}"] * 200_000 + [b"1"])
    yield "60 MB of names", run_of([b"{" + b",".join(b'"%x":1' % number for number in range(5 * MEGABYTES)) + b"}"])
    yield "nesting", run_of([b"[" * MEGABYTES])
    yield "erasures", (ERASURES, json.dumps({"people": people, "suppress": False}).encode())
    yield "suppression lists", (SUPPRESSIONS, json.dumps({"entries": hashes}).encode())


def long_texts() -> Request:
    """A run whose contacts hold as much text as they may, full of beginnings of addresses: an erasure searches it."""
    texts = (b"a@" * 9_000, b"@" * 18_000, b"a.b-c@d." * 2_000)
    return run_of([PERSON + b',"note":"' + text + b'"}' for text in texts * 10])


def main() -> None:
    """Print each scene, then the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=20, help="Small runs in each scene.")
    arguments.add_argument("--scene", default="", help="Only scenes with this in their name.")
    options = arguments.parse_args()
    domains = invent_domains(seed=7)
    crowd = invent_exactly(7, valid=600, found_unverified=0, unfindable=0, domains=domains)
    with (
        tempfile.TemporaryDirectory(prefix="growth-bench-") as home,
        Internet(crowd, domains) as internet,
        _hostile(internet) as servers,
        running_stack(Path(home), Ports(0, 0), processes=2, settings=_settings(internet, servers)) as stack,
    ):
        scenes = _Scenes(stack, crowd, options.runs)
        figures = scenes.figures(servers, options.scene)
    publish("hostile", "Ten contacts beside a hostile account", scenes.table, figures, vars(options))


def _settings(internet: Internet, servers: HostileServers) -> dict[str, str]:
    host, port = servers.nameserver
    return {
        **internet.settings(),
        "DNS_RESOLVERS": f"{host}:{port}",
        "CONTACT_TIMEOUT_SECONDS": str(CONTACT_TIMEOUT_S),
        # Seconds, not minutes: the benchmark waits for the run that meets hostile servers.
        "DEFER_SECONDS": "5,10",
        "REQUESTS_PER_MINUTE": "100000",
        # A repeated small run probes its addresses each time, and does not reuse earlier verdicts.
        "FRESH_DAYS_VALID": "0",
    }


@contextmanager
def _hostile(internet: Internet) -> Iterator[HostileServers]:
    """Run the hostile servers in a process of their own, so that their load does not delay the sandbox's servers."""
    host, _, port = internet.dns_address.rpartition(":")
    parent_end, child_end = multiprocessing.Pipe()
    arguments = (internet.smtp_port, (host, int(port)), child_end)
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments, daemon=True)
    process.start()
    try:
        yield parent_end.recv()
    finally:
        process.kill()


@contextmanager
def _bare_server() -> Iterator[str]:
    """Run a server, as a process, that reads each body and refuses it: the floor for any API. Gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = multiprocessing.get_context("spawn").Process(target=_refuse_all, args=(listener,), daemon=True)
        process.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()


def _refuse_all(listener: socket.socket) -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 422, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error")).run([listener])


def _serve(smtp_port: int, ordinary_dns: tuple[str, int], pipe: Connection) -> None:
    async def serve() -> None:
        async with hostile_servers(smtp_port, ordinary_dns) as servers:
            pipe.send(servers)
            await asyncio.Event().wait()

    asyncio.run(serve())


class _Scenes:
    """Small runs alone, and in each hostile scene."""

    def __init__(self, stack: Stack, crowd: Sequence[Person], runs: int) -> None:
        self._stack, self._runs = stack, runs
        self._groups = [crowd[start : start + CONTACTS] for start in range(0, len(crowd), CONTACTS)]
        self._number = 0
        self.table = Table()

    def figures(self, servers: HostileServers, scene_filter: str) -> dict[str, object]:
        with ApiClient(self._stack.credentials) as small, self._client("Hostile") as hostile:
            self._times(small, WARM_UP)
            alone = self._times(small, self._runs)
            self.table.add("nothing", TEN_MS, alone)
            hostile.post(RUN, content=long_texts()[1]).raise_for_status()
            requests = [(name, request) for name, request in hostile_requests() if scene_filter in name]
            scenes = {name: self._measure_scene(small, hostile, name, request) for name, request in requests}
            if scene_filter in BARE:
                with _bare_server() as url, httpx.Client(base_url=url) as bare:
                    scenes[BARE] = self._measure_scene(small, bare, BARE, run_of(repeated_to(b"{}")))
            if scene_filter in "hostile servers":
                scenes["hostile servers"] = self._run_of_hostile_servers(small, hostile, servers)
            alone += self._times(small, self._runs)
            self.table.add("nothing", TEN_MS, alone[self._runs :])
        base = statistics.median(alone)
        slowdowns = {name: round(float(str(scene["median_ms"])) / base, 2) for name, scene in scenes.items()}
        for name, scene in scenes.items():
            scene["slowdown"] = slowdowns[name]
            self.table.add(name, "times as long as alone", [slowdowns[name]])
        floor = slowdowns.pop(BARE, None)
        return {
            "alone_ms": round(base, 1),
            "scenes": scenes,
            "worst_slowdown": max(slowdowns.values(), default=None),
            "floor_slowdown": floor,
            "runs": self._runs,
        }

    @contextmanager
    def _client(self, name: str) -> Iterator[httpx.Client]:
        database = open_database(self._stack.database_url, pool_size=1)
        key = create_account(database, name, 100_000_000).api_key
        database.close()
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(
            base_url=self._stack.credentials.api_url, headers=headers, trust_env=False, timeout=600
        ) as client:
            yield client

    def _measure_scene(self, small: ApiClient, hostile: httpx.Client, name: str, request: Request) -> dict[str, object]:
        with _repeated(hostile, request) as answers:
            times = self._times(small, self._runs)
        self.table.add(name, TEN_MS, times)
        median = round(statistics.median(times), 1)
        print(f"{name:34} {median:8.1f} ms, {len(request[1]) / MEGABYTES:6.2f} MB, answers {dict(answers)}", flush=True)
        return {"median_ms": median, "max_ms": round(max(times), 1), "answers": dict(answers)}

    def _run_of_hostile_servers(
        self, small: ApiClient, hostile: httpx.Client, servers: HostileServers
    ) -> dict[str, object]:
        """Its time is bounded by the limit for one contact, in two stages, once more for each deferral."""
        started = time.perf_counter()
        body = run_of([json.dumps(contact).encode() for contact in servers.contacts()])[1]
        run = f"/api/v1/growth/runs/{hostile.post(RUN, content=body).raise_for_status().json()['run_id']}"
        times = self._times(small, self._runs)
        self._stack.engine.wait_until(
            lambda: hostile.get(run).json()["status"] in FINISHED, "the run of hostile servers", seconds=3600
        )
        seconds = round(time.perf_counter() - started, 1)
        self.table.add("hostile servers", TEN_MS, times)
        median = round(statistics.median(times), 1)
        print(f"{'hostile servers':34} {median:8.1f} ms, their run ended after {seconds} s", flush=True)
        return {
            "median_ms": median,
            "max_ms": round(max(times), 1),
            "ended_after_s": seconds,
            "status": hostile.get(run).json()["status"],
        }

    def _times(self, client: ApiClient, runs: int) -> list[float]:
        return [self._one_run(client) for _ in range(runs)]

    def _one_run(self, client: ApiClient) -> float:
        people = self._groups[self._number % len(self._groups)]
        self._number += 1
        contacts: list[Mapping[str, str]] = [
            {"email": person.email or "", "domain": person.domain} for person in people
        ]
        started = time.perf_counter()
        run_id = client.create_run(contacts, "verify_existing_emails")
        self._stack.engine.wait_until(
            lambda: client.read_run(run_id)["status"] in FINISHED, f"run {run_id}", seconds=600
        )
        return 1000 * (time.perf_counter() - started)


@contextmanager
def _repeated(client: httpx.Client, request: Request) -> Iterator[Counter[int]]:
    """Send a request again and again until the block ends; the counter then has the number of responses by status.

    The sender is a process of its own with the lowest priority, since a real client has a machine of its own: sending
    must not take processor time from the small runs, nor from the thread that measures them.
    """
    answers: Counter[int] = Counter()
    spawn = multiprocessing.get_context("spawn")
    stop = spawn.Event()
    parent_end, child_end = spawn.Pipe()
    target = (str(client.base_url), dict(client.headers), request)
    process = spawn.Process(target=_send_repeatedly, args=(*target, stop, child_end), daemon=True)
    process.start()
    parent_end.recv()
    try:
        yield answers
    finally:
        stop.set()
        answers.update(parent_end.recv())
        process.join()


def _send_repeatedly(url: str, headers: Mapping[str, str], request: Request, stop: Event, pipe: Connection) -> None:
    os.nice(19)
    answers: Counter[int] = Counter()
    path, body = request
    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=600) as client:

        def repeat() -> None:
            while not stop.is_set():
                answers[client.post(path, content=body).status_code] += 1

        senders = [threading.Thread(target=repeat) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        pipe.send("started")
        for sender in senders:
            sender.join()
    pipe.send(answers)


if __name__ == "__main__":
    main()
