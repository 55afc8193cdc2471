"""Reads the files that it is given in a process of its own, and prints of each what came of it, and its peak memory."""

import json
import sys
from pathlib import Path

from pipeline.errors import UnusableFile
from pipeline.files.contacts import open_contacts


def read(path: Path) -> dict[str, object]:
    contacts, reason = 0, ""
    try:
        reader = open_contacts(path)
        for placed in reader.place():
            contacts += placed.is_new
            reason = reason or (placed.rejected.reason if placed.rejected else "")
    except UnusableFile as refused:
        return {"refused": str(refused), "peak_mb": peak_mb()}
    return {"contacts": contacts, "reason": reason, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """The most memory that this process has had."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    print(json.dumps({name: read(Path(name)) for name in sys.argv[1:]}))  # noqa: T201 - for the test
