"""Wall clocks of processes that can jump by hours while they run: a small library, preloaded (clock.c).

libfaketime will not do: with an unchanged CLOCK_MONOTONIC, as in a step of a real clock, its release 0.9.10 breaks
Python's `time.sleep`.
"""

import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

COMPILER = shutil.which("cc")
CAN_JUMP = COMPILER is not None and sys.platform == "linux"
CAN_NOT_JUMP = "needs a C compiler on Linux, for a clock that jumps"
SOURCE = Path(__file__).with_name("clock.c")


class Clocks:
    """One clock for each named process, correct until it is set."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True)
        self._home = home
        self._library = home / "clock.so"
        if CAN_JUMP:
            command = [str(COMPILER), "-shared", "-fPIC", "-O1", "-o", str(self._library), str(SOURCE), "-pthread"]
            subprocess.run(command, check=True)

    def settings_of(self, name: str) -> Mapping[str, str]:
        """The environment of a process with this clock; none where clocks can't be set."""
        if not CAN_JUMP:
            return {}
        self.jump(name, 0)
        return {"LD_PRELOAD": str(self._library), "CLOCK_FILE": str(self._home / name)}

    def jump(self, name: str, seconds: int) -> None:
        """Set by how many seconds the clock is wrong from now on."""
        with (self._home / name).open("r+b" if (self._home / name).exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))
