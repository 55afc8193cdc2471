"""Which contacts of a run a batch is about."""

from typing import NamedTuple
from uuid import UUID


class Span(NamedTuple):
    """The contacts of a run from `first` to `last`, in one of its stages."""

    run_id: UUID
    stage: str
    first: int
    last: int
    of_run: int
    """The number of contacts of the run."""
