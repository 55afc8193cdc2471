"""The servers of `verify.py`: Postfix's smtp-sink, a link with a round trip, a name server. All on loopback."""

import multiprocessing
import os
import resource
import select
import shutil
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress

import dns.message
import dns.rrset

INSTALL_POSTFIX = (
    "smtp-sink and smtp-source are part of Postfix. On Debian: `apt-get install postfix`"
    " (choose 'No configuration'; it need not run)."
)
EVERYWHERE = "0.0.0.0"  # noqa: S104 - the mail hosts are addresses all over 127.0.0.0/8
READ_AT_ONCE = 65536
_NO_RECORDS = bytes.fromhex("81800001000000000000")
"""The header of a reply without answers, but for its id: there are no such records."""
_USER_OPTION = ("-u", "nobody") if os.geteuid() == 0 else ()


def postfix_program(name: str) -> str:
    """Find one of Postfix's test programs, which are often outside a user's PATH. Exits if it is missing."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/libexec/postfix")
    if found is None:
        raise SystemExit(INSTALL_POSTFIX)
    return found


@contextmanager
def smtp_sink(ip: str = EVERYWHERE) -> Iterator[int]:
    """Run a server that accepts everything. Gives its port."""
    port = _free_port()
    command = [postfix_program("smtp-sink"), *_USER_OPTION, "-m", "2000", f"{ip}:{port}", "1024"]
    process = subprocess.Popen(command)
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def link(port: int, round_trip: float) -> Iterator[int]:
    """Run a link with this round trip (in seconds) in front of a port. Gives the port at its near end."""
    near = socket.create_server((EVERYWHERE, 0), backlog=1024)
    with _process(_Link(near, port, round_trip).run):
        yield near.getsockname()[1]
    near.close()


@contextmanager
def name_server(zone: Mapping[tuple[str, str], Sequence[str]]) -> Iterator[tuple[str, int]]:
    """Serve a zone that maps (name, type) to records. Gives the server's address."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind(("127.0.0.1", 0))
    with closing(sock), _process(_answer_queries, sock, _wire(zone)):
        yield sock.getsockname()


class _Link:
    """Carries bytes both ways with a delay of half a round trip; bytes that are sent together arrive together.

    A TCP handshake takes a round trip on a real link, but none with this process. So the connection to the far side is
    opened that much later.
    """

    def __init__(self, near: socket.socket, port: int, round_trip: float) -> None:
        self._near = near
        self._port = port
        self._trip = round_trip / 2
        self._epoll = select.epoll()
        self._peers: dict[int, tuple[socket.socket, socket.socket]] = {}
        self._closing: set[int] = set()
        self._clients: deque[tuple[float, socket.socket]] = deque()
        self._in_transit: deque[tuple[float, socket.socket, bytes]] = deque()

    def run(self) -> None:
        """Carry bytes until the process is killed."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        self._epoll.register(self._near, select.EPOLLIN)
        while True:
            for number, _ in self._epoll.poll(self._until_next()):
                if number == self._near.fileno():
                    self._accept()
                else:
                    self._receive(*self._peers[number])
            self._deliver(time.monotonic())

    def _until_next(self) -> float | None:
        due = [queue[0][0] for queue in (self._clients, self._in_transit) if queue]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _accept(self) -> None:
        client, _ = self._near.accept()
        self._clients.append((time.monotonic() + 3 * self._trip, client))

    def _receive(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            data = source.recv(READ_AT_ONCE)
        except OSError:
            data = b""
        self._in_transit.append((time.monotonic() + self._trip, sink, data))
        if not data:
            self._epoll.unregister(source)

    def _deliver(self, now: float) -> None:
        while self._clients and self._clients[0][0] <= now:
            self._connect(self._clients.popleft()[1])
        while self._in_transit and self._in_transit[0][0] <= now:
            _, sink, data = self._in_transit.popleft()
            self._send(sink, data)

    def _connect(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._port))
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers[one.fileno()] = (one, other)
            self._epoll.register(one, select.EPOLLIN)

    def _send(self, sink: socket.socket, data: bytes) -> None:
        with suppress(OSError):  # the peer disconnected
            if data:
                sink.sendall(data)
                return
            sink.shutdown(socket.SHUT_WR)
        if not data and sink.fileno() in self._peers:
            self._half_closed(sink)

    def _half_closed(self, sink: socket.socket) -> None:
        """Close both sockets of a pair once each has received the end of the other."""
        source = self._peers[sink.fileno()][1]
        if sink.fileno() in self._closing:
            return
        self._closing.add(sink.fileno())
        if source.fileno() in self._closing:
            for each in (sink, source):
                self._closing.discard(each.fileno())
                del self._peers[each.fileno()]
                each.close()


def _wire(zone: Mapping[tuple[str, str], Sequence[str]]) -> dict[bytes, bytes]:
    """Build each answer in advance: by the bytes of its question, the message without its id."""
    answers = {}
    for (name, kind), records in zone.items():
        query = dns.message.make_query(name, kind)
        response = dns.message.make_response(query)
        response.answer.append(dns.rrset.from_text(f"{name}.", 3600, "IN", kind, *records))
        answers[query.to_wire()[12:]] = response.to_wire()[2:]
    return answers


def _answer_queries(sock: socket.socket, answers: Mapping[bytes, bytes]) -> None:
    while True:
        query, client = sock.recvfrom(READ_AT_ONCE)
        question = query[12 : query.index(b"\0", 12) + 5]
        sock.sendto(query[:2] + answers.get(question, _NO_RECORDS + question), client)


@contextmanager
def _process(run: Callable[..., None], *arguments: object) -> Iterator[None]:
    process = multiprocessing.get_context("fork").Process(target=run, args=arguments, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _free_port() -> int:
    with socket.create_server((EVERYWHERE, 0)) as sock:
        return int(sock.getsockname()[1])


def _wait_for(port: int, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
