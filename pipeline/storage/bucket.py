"""A bucket of S3 and what speaks its language, Google Cloud Storage, or Azure.

Keys and endpoint are read from the environment, as each vendor's own tools read them. Each request has a time limit and
few retries: a storage that does not answer fails an attempt, and never holds up a run.
"""

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

PART_BYTES = 5 * 1024 * 1024
"""Parts in which a file is sent: the smallest that S3 takes. A file has up to 10,000 of them, which is 50 GB."""
PARTS_AT_ONCE = 2
"""Parts of a file under way at once. So many, and the one that grows, are in memory for each file."""
REQUEST_S, CONNECT_S = 20, 5
RETRIES, RETRY_S = 3, 20
READY_S, DOCTOR_S = 0.5, 3
"""Limits of requests that only find out whether the storage answers, to readiness probes and to an operator."""
DELETED_AT_ONCE = 1000

_CODE = re.compile(r"<Code>(\w+)</Code>|code: (\w+)\)")
_STATUS = re.compile(r"status code: (\d{3})")
_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted"})
_REFUSALS = frozenset({"403", "401"})
_KEYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""The variables in which keys are usually given, by the scheme of the URL."""
_ASKED_FOR_KEYS = re.compile(r"latest/(?:api/token|meta-data)|computeMetadata|metadata/identity|169\.254\.170\.2")
"""Where machines of a cloud get their keys: the library asks there when none is set."""


class StorageFault(OSError):
    """Raised when a bucket does not take, give or delete a file.

    `reason` is a word for the timeline: the storage's own code, such as `NoSuchBucket`, or what happened. The text is a
    sentence that says what to do.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Bucket:
    """Files are sent in parts, and appear under their key when all of them are there. No key is used twice."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.has_failed = False
        """Whether the last file could not be written."""

    def __str__(self) -> str:
        return self.url

    @cached_property
    def _store(self) -> Any:
        return _open(self.url, REQUEST_S, RETRIES)

    @cached_property
    def _store_of_probes(self) -> Any:
        return _open(self.url, READY_S, 0)

    def new_key(self, run_id: UUID, name: str) -> str:
        """A key that no file ever had."""
        return f"{run_id}/{uuid4().hex}.{name}"

    def create(self, key: str, mime_type: str) -> "BucketFile":
        """Begin a file. Nothing is sent yet. Raises `StorageFault` if the storage is misconfigured."""
        with _faults(self.url):
            writer = obstore.open_writer(
                self._store,
                key,
                attributes={"Content-Type": mime_type},
                buffer_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )
        return BucketFile(self.url, writer)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete files. One that is not there is no error. Raises `StorageFault`."""
        for first in range(0, len(keys), DELETED_AT_ONCE):
            batch = keys[first : first + DELETED_AT_ONCE]
            try:
                with _faults(self.url):
                    obstore.delete(self._store, batch)
            except FileNotFoundError:
                # Not every storage deletes in batches, nor takes a missing file for a deleted one.
                for key in batch:
                    with suppress(FileNotFoundError), _faults(self.url):
                        obstore.delete(self._store, key)

    async def size(self, key: str) -> tuple[int, float]:
        """How many bytes a file has, and when it was written. Raises `FileNotFoundError` and `StorageFault`."""
        with _faults(self.url):
            found = await obstore.head_async(self._store, key)
        return found["size"], found["last_modified"].timestamp()

    async def read(self, key: str, start: int, length: int) -> bytes:
        """A part of a file. Raises `FileNotFoundError` and `StorageFault`."""
        with _faults(self.url):
            return bytes(await obstore.get_range_async(self._store, key, start=start, length=length))

    def find_trouble(self) -> str | None:
        """Why a file can't be read here, as a sentence; none if nothing is wrong. Takes half a second at most."""
        try:
            with _faults(self.url):
                obstore.get(self._store_of_probes, f".doctor.{secrets.token_hex(8)}")
        except FileNotFoundError:
            return None
        except StorageFault as fault:
            return str(fault)
        return None

    def find_write_trouble(self) -> str | None:
        """Why a file can't be written, read and deleted here."""
        try:
            self.try_out()
        except StorageFault as fault:
            return str(fault)
        return None

    def try_out(self) -> None:
        """Write, read and delete a small file. Raises `StorageFault`."""
        key = f".doctor.{secrets.token_hex(8)}"
        try:
            with _faults(self.url):
                store = _open(self.url, DOCTOR_S, 0)
                obstore.put(store, key, b".doctor")
                obstore.get(store, key).bytes()
                obstore.delete(store, key)
        except FileNotFoundError:
            why = "a file that was just written is not there: is this one bucket for all who use it?"
            raise StorageFault("not_there", f"{self.url}: {why}") from None


class BucketFile:
    """A file while it is sent."""

    def __init__(self, url: str, writer: Any) -> None:
        self._url, self._writer = url, writer

    def write(self, data: bytes) -> None:
        """Append to the file; may wait for a part to be sent. Raises `StorageFault`."""
        with _faults(self._url):
            self._writer.write(data)

    def finish(self) -> None:
        """Send the rest. The file is there when this returns. Raises `StorageFault`."""
        with _faults(self._url):
            self._writer.close()

    def abandon(self) -> None:
        """Abort it, so that the parts sent so far are deleted. A storage that is away keeps them."""
        abandoned = StorageFault("abandoned", "")
        with suppress(OSError, ValueError), _faults(self._url):
            self._writer.__exit__(StorageFault, abandoned, None)


def _open(url: str, request_s: float, retries: int) -> Any:
    return from_url(
        url,
        client_options={
            # For an endpoint that is given as http://; those of the vendors are https:// in any case.
            "allow_http": True,
            "timeout": timedelta(seconds=request_s),
            "connect_timeout": timedelta(seconds=min(request_s, CONNECT_S)),
        },
        retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=RETRY_S)},
    )


@contextmanager
def _faults(url: str) -> Iterator[None]:
    """Raise the library's errors as `StorageFault`: its texts have keys, and fill a screen.

    A missing file stays a `FileNotFoundError`, unless it is the bucket that is missing.
    """
    try:
        yield
    except FileNotFoundError as error:
        if _code_in(str(error)) not in _NO_BUCKET:
            raise FileNotFoundError("there is no such file") from None
        raise _fault(url, str(error)) from None
    except (BaseError, OSError) as error:
        # A writer raises the latter.
        raise _fault(url, str(error)) from None


def _fault(url: str, text: str) -> StorageFault:
    code, found = _code_in(text), _STATUS.search(text)
    status = found[1] if found else ""
    if code in _NO_BUCKET:
        return StorageFault(code, f"{url}: there is no such bucket ({code}): create it, or correct EXPORT_STORAGE.")
    if _ASKED_FOR_KEYS.search(text):
        keys = _KEYS[url.partition("://")[0]]
        return StorageFault("no_key", f"{url}: no key is set, and this machine has none of its own: set {keys}.")
    if status in _REFUSALS or code == "AccessDenied":
        why = code or f"HTTP {status}"
        advice = "it needs to read, write and delete objects there."
        return StorageFault(why, f"{url}: the storage refuses the key ({why}): check it and its rights; {advice}")
    if code or status:
        why = code or f"HTTP {status}"
        return StorageFault(why, f"{url}: the storage answers {why}: see what it says about that code.")
    if "HTTP error" in text:
        what = "AWS_ENDPOINT_URL and the network" if url.startswith("s3:") else "the network"
        return StorageFault("unreachable", f"{url}: it can't be reached: check {what}.")
    first_line = text.partition("\n")[0][:200]
    return StorageFault("not_usable", f"{url}: it can't be used as it is configured: {first_line}")


def _code_in(text: str) -> str:
    found = _CODE.search(text)
    return (found[1] or found[2]) if found else ""
