"""The connections of a worker process, opened in the process of the test."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event

import pytest

from settings import load_settings
from worker.process import Process, open_process


@contextmanager
def opened_process(settings: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """Open the connections that tasks use, under these settings, until the block ends."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    process = open_process(Event())
    try:
        yield process
    finally:
        process.close()
        load_settings.cache_clear()
