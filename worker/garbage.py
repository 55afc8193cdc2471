"""How often a process that checks addresses looks for garbage that only a collector finds."""

import gc

NEW_OBJECTS = 50_000


def collect_rarely() -> None:
    """Let the collector run after 50,000 new objects, not 700.

    A conversation's objects are many, live for a few round trips, and are freed by counting references. Looking through
    those that are just in use took a tenth of the processor time of checking an address (`bench/verify.py`), and still
    a twentieth after 10,000. What only a collector finds is little here, and 50,000 objects are a few megabytes.
    """
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
