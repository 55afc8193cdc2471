"""Servers in processes of their own, which listen when the block begins and have ended when it ends."""

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 20
END_SECONDS = 10


@contextmanager
def running(command: Sequence[str], log: Path, address: tuple[str, int]) -> Iterator[None]:
    """Run a server. Raises `TimeoutError` with its output if it does not listen in time."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until_it_listens(process, log, address)
        yield
    finally:
        process.terminate()
        process.wait(END_SECONDS)


def wait_until_it_listens(process: "subprocess.Popen[bytes]", log: Path, address: tuple[str, int]) -> None:
    """Wait until a process listens. Raises `TimeoutError` with its output if it does not, or ends."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(address, timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"{process.args} does not listen on {address}: {log.read_text()}")
