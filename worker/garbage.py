"""How often the garbage collector runs in a process that verifies addresses."""

import gc

NEW_OBJECTS = 50_000


def collect_rarely() -> None:
    """Run the collector after 50,000 new objects instead of 700.

    A conversation creates many objects that live for a few round trips and are freed by reference counting. With the
    default, scanning the live ones took a tenth of the processor time of verifying an address (`bench/verify.py`); at
    10,000 still a twentieth. There are few reference cycles here, and 50,000 objects take a few megabytes.
    """
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
