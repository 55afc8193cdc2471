"""A process of the API is small: streams are what its memory is for."""

import subprocess
import sys

NOT_LOADED = ("alembic", "dns", "httpx", "pipeline.mail.network", "pyarrow", "rich", "xlsxwriter")
"""What asks mail servers or providers, writes files of some formats, or migrates: workers and commands do."""


def test_the_api_does_not_load_what_only_workers_and_commands_use() -> None:
    asked = f"import sys, api.app; print(*(name for name in {NOT_LOADED} if name in sys.modules))"

    shown = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True)

    assert shown.stdout.split() == []
