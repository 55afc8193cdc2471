"""Opens a workbook in a process of little memory, which may die of it.

XLS files can't be measured before. Of others the library may understand more than we do.
"""

import os
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import python_calamine

from pipeline.errors import UnusableFile
from pipeline.files.worksheets import MOST_SHEETS, names_of_visible

MOST_CPU_S = 600
BEGUN = b"begun"
"""What the process says before it opens the file: if it ends without that, the file is not to blame."""
_OF_AN_INTERPRETER = 256 << 20
_OPEN_FILES = "/proc/self/fd/"
_CODE = "import sys; sys.path[:] = sys.argv[3:]; from pipeline.files.workbook_size.trial import main; main()"


def check_by_opening(path: Path, name: str, most_memory: int) -> None:
    """Refuse a workbook that can't be opened with twice the memory that it may take. Raises `UnusableFile`."""
    command = [sys.executable, "-I", "-c", _CODE, str(path), str(2 * most_memory + _OF_AN_INTERPRETER), *sys.path]
    # A file without a name is handed on, and has the same path there.
    kept = [int(path.name)] if str(path).startswith(_OPEN_FILES) else []
    done = subprocess.run(  # noqa: S603 - our own interpreter
        command,
        pass_fds=kept,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if not done.returncode:
        return
    if done.stdout != BEGUN:
        raise RuntimeError(f"The process that tries workbooks did not begin: it ended with {done.returncode}.")
    raise UnusableFile(
        f"{name} can't be opened with the {most_memory / 1e6:,.0f} MB of memory that a workbook may take: "
        "save it as XLSX or CSV."
    )


def main() -> None:
    """Open the file that the command line names, within so many bytes of memory."""
    os.write(1, BEGUN)
    most = int(sys.argv[2])
    if sys.platform == "linux":  # Elsewhere such a limit is refused or means nothing.
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Whoever reads the file says what else is wrong with it.
    with suppress(python_calamine.CalamineError, OSError):
        workbook = python_calamine.CalamineWorkbook.from_path(sys.argv[1])
        for title in names_of_visible(workbook)[:MOST_SHEETS]:
            with suppress(python_calamine.CalamineError):
                workbook.get_sheet_by_name(title)
