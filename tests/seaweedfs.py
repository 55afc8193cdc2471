"""SeaweedFS from a wheel: a storage that speaks S3, on loopback, which can be killed, frozen and started again."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import obstore
from obstore.store import S3Store

from cli.local.ports import free_port

PROGRAM = Path(sysconfig.get_path("scripts"), "weed")
START_SECONDS = 30
KEY, SECRET = "example-key", "example-secret"
READER, READER_SECRET = "reading-key", "reading-secret"
"""A key that may read all buckets, and write none."""
IDENTITIES = {
    "identities": [
        {
            "name": "owner",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        },
        {
            "name": "reader",
            "credentials": [{"accessKey": READER, "secretKey": READER_SECRET}],
            "actions": ["Read", "List"],
        },
    ]
}


class SeaweedFS:
    """A server that keeps its ports and data across restarts."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True)
        self._home, self._output = home, home / "output"
        (home / "identities.json").write_text(json.dumps(IDENTITIES))
        while not self._starts_on_new_ports():
            pass

    def _starts_on_new_ports(self) -> bool:
        """False if another server, such as that of a test in another process, took one of them first."""
        self._ports = [free_port(0) for _ in range(8)]
        self.endpoint = f"http://127.0.0.1:{self._ports[0]}"
        self._filer = f"http://127.0.0.1:{self._ports[2]}"
        shutil.rmtree(self._home / "data", ignore_errors=True)
        (self._home / "data").mkdir()
        try:
            self.start()
        except TimeoutError:
            self.end()
            if "address already in use" not in self._output.read_text():
                raise
            return False
        return True

    def start(self) -> None:
        """Start it. It takes files when this returns. Raises `TimeoutError`."""
        with self._output.open("wb") as log:
            self._server = subprocess.Popen(
                self._command(),
                # Each bucket has volumes of its own: one, not seven.
                env={**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._takes_files():
            if time.monotonic() > deadline or self._server.poll() is not None:
                raise TimeoutError(f"SeaweedFS did not start: {self._output.read_text()[-2000:]}")
            time.sleep(0.05)

    def environment(self, key: str = KEY, secret: str = SECRET) -> Mapping[str, str]:
        """What a process needs to use it."""
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        }

    def create_bucket(self, name: str) -> None:
        answer = httpx.put(obstore.sign(self.store(name), "PUT", "", timedelta(minutes=1)))
        assert answer.status_code in (200, 409), answer.text

    def store(self, bucket: str) -> S3Store:
        """A client of this bucket."""
        return S3Store(
            bucket,
            access_key_id=KEY,
            secret_access_key=SECRET,
            endpoint=self.endpoint,
            region="us-east-1",
            client_options={"allow_http": True},
        )

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The objects in a bucket."""
        return sorted(found["path"] for found in self.store(bucket).list(prefix).collect())

    def unfinished(self, bucket: str) -> list[str]:
        """Multipart uploads that were neither completed nor aborted. Their parts are hidden."""
        listed = httpx.get(f"{self._filer}/buckets/{bucket}/.uploads/", headers={"Accept": "application/json"})
        entries: list[Any] = listed.json().get("Entries") or [] if listed.status_code == 200 else []
        return [entry["FullPath"] for entry in entries]

    @property
    def is_running(self) -> bool:
        return self._server.poll() is None

    def kill(self) -> None:
        """`kill -9`; its ports are free when this returns."""
        self._server.kill()
        self._server.wait()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, and get no answer."""
        os.kill(self._server.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self._server.pid, signal.SIGCONT)

    def end(self) -> None:
        """Stop it for good."""
        if self._server.poll() is None:
            self.kill()

    def _takes_files(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._ports[0]), 1):
                self.create_bucket("started")
                obstore.put(self.store("started"), "file", b"content")
        except (OSError, AssertionError, httpx.HTTPError, obstore.exceptions.BaseError):
            return False
        return True

    def _command(self) -> list[str]:
        s3, s3_grpc, filer, filer_grpc, master, master_grpc, volume, volume_grpc = self._ports
        return [
            str(PROGRAM),
            "server",
            f"-dir={self._home / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={master}",
            f"-master.port.grpc={master_grpc}",
            # It would report to its makers.
            "-master.telemetry=false",
            "-master.electionTimeout=1s",
            "-master.volumeSizeLimitMB=128",
            f"-volume.port={volume}",
            f"-volume.port.grpc={volume_grpc}",
            "-volume.max=500",
            "-filer",
            f"-filer.port={filer}",
            f"-filer.port.grpc={filer_grpc}",
            f"-filer.localSocket={self._home / 'filer.sock'}",
            "-s3",
            f"-s3.port={s3}",
            f"-s3.port.grpc={s3_grpc}",
            f"-s3.localSocket={self._home / 's3.sock'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={self._home / 'identities.json'}",
            "-s3.autoCreateBucket=false",
        ]


@contextmanager
def running_seaweedfs(home: Path) -> Iterator[SeaweedFS]:
    """A server that is stopped when the block ends."""
    server = SeaweedFS(home)
    try:
        yield server
    finally:
        server.end()
