"""Child processes that end with their parent."""

import os
import sys
from collections.abc import Sequence

ENDS_WITH_US = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None)
if hasattr(libc, "prctl"):
    libc.prctl(1, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.executable, [sys.executable, "-m", *sys.argv[2:]])
"""
"""Executes the wanted process so that the kernel ends it when ours is killed (PR_SET_PDEATHSIG, on Linux; it outlives
an exec). Otherwise it would keep its ports and go on working beside its successor."""


def child_command(arguments: Sequence[str]) -> Sequence[str]:
    """The command that runs `python -m ARGUMENTS` as a child of this process, and ends it when this process ends."""
    return (sys.executable, "-ISc", ENDS_WITH_US, str(os.getpid()), *arguments)
