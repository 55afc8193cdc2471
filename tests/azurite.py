"""Azurite from npm: Microsoft's own emulator of Azure's blob storage, on loopback."""

import base64
import hashlib
import hmac
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import httpx

from cli.local.ports import free_port

PROGRAM = shutil.which("azurite-blob")
NOT_INSTALLED = "needs npm's package azurite (npm install --global azurite)"
ACCOUNT = "exampleaccount"
API_VERSION = "2021-08-06"
START_SECONDS = 60


class Azurite:
    """A server with one account, whose key is made up when it starts."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True)
        self._key, port = secrets.token_bytes(32), free_port(0)
        self.endpoint = f"http://127.0.0.1:{port}"
        command = [str(PROGRAM), "--blobPort", str(port), "--location", str(home), "--silent", "--disableTelemetry"]
        # The library may speak a version that is younger than the emulator.
        command.append("--skipApiVersionCheck")
        with (home / "output").open("wb") as log:
            self._server = subprocess.Popen(
                command, env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{self.key}"}, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self._server.poll() is not None:
                raise TimeoutError(f"Azurite did not start: {(home / 'output').read_text()[-2000:]}")
            time.sleep(0.05)

    @property
    def key(self) -> str:
        """The account's key, as Azure writes it."""
        return base64.b64encode(self._key).decode()

    def environment(self) -> Mapping[str, str]:
        """What a process needs to use it."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": self.key,
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": self.endpoint,
        }

    def create_container(self, name: str) -> None:
        """Create a container, by a request that is signed as Azure's manual says ("Authorize with Shared Key")."""
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": API_VERSION}
        lines = [*(f"{name}:{value}" for name, value in headers.items()), f"/{ACCOUNT}/{ACCOUNT}/{name}"]
        to_sign = "\n".join(["PUT", *[""] * 11, *lines, "restype:container"]).encode()
        signature = base64.b64encode(hmac.digest(self._key, to_sign, hashlib.sha256)).decode()
        answer = httpx.put(
            f"{self.endpoint}/{ACCOUNT}/{name}?restype=container",
            headers={**headers, "Authorization": f"SharedKey {ACCOUNT}:{signature}"},
            trust_env=False,
        )
        assert answer.status_code == 201, answer.text

    def kill(self) -> None:
        """`kill -9`."""
        self._server.kill()
        self._server.wait()

    def _answers(self) -> bool:
        try:
            httpx.get(self.endpoint, trust_env=False)
        except httpx.HTTPError:
            return False
        return True


@contextmanager
def running_azurite(home: Path) -> Iterator[Azurite]:
    """A server that is stopped when the block ends."""
    server = Azurite(home)
    try:
        yield server
    finally:
        server.kill()
