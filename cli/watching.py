"""Watching a run: a progress bar per stage, until it is finished, however often the API is away meanwhile."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from cli.client import ApiAway, ApiClient
from cli.exit_codes import Interrupted
from cli.terminal import say

POLL_SECONDS = 0.25
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0
LONGEST_RETRY_AFTER_S = 600.0
FIRST_ANSWER_S = 60.0
"""An API that has never answered has probably another address."""
LONGEST_SILENCE_S = 48 * 3600.0
"""As long as a run may last, unless RUN_HOURS says otherwise: then there is nothing left to wait for."""
FINISHED = frozenset({"completed", "failed", "cancelled"})

T = TypeVar("T")


@contextmanager
def going_on_with(sentence: str) -> Iterator[None]:
    """Ctrl-C within the block raises `Interrupted` with this sentence."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(sentence) from error


@dataclass(slots=True)
class Patience:
    """Repeats requests while the API is away or asks us to come later, and says so once each time.

    `check` is called between attempts, and may raise when going on makes no sense.
    """

    console: Console
    check: Callable[[], None] = lambda: None
    has_answered: bool = False
    longest_s: float = LONGEST_SILENCE_S
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def __call__(self, request: Callable[[], T]) -> T:
        """What the request returns in the end. Raises `ApiError` when waiting does not help, or no longer does."""
        since, pause = None, FIRST_PAUSE_S
        while True:
            try:
                answer = request()
            except ApiAway as away:
                since = self._wait(away, since, pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
            else:
                self.has_answered = True
                if since is not None:
                    say("The API answers again.", to=self.console)
                return answer

    def _wait(self, away: ApiAway, since: float | None, pause: float) -> float:
        """Wait before the next attempt; when the trouble began."""
        self.has_answered = self.has_answered or away.status is not None
        if since is None:
            since = self.clock()
            say(f"{away} Trying again; Ctrl-C ends that.", style="yellow", to=self.console)
        if self.clock() - since > (self.longest_s if self.has_answered else FIRST_ANSWER_S):
            raise away
        self.check()
        self.sleep(max(pause, min(away.retry_after, LONGEST_RETRY_AFTER_S)))
        return since


def watch(client: ApiClient, run_id: str, console: Console, check: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Show a run's progress until it is finished; its final state. Raises `ApiError`.

    `check` is called between looks, and may raise when going on makes no sense.
    """
    columns = (
        TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[status]}"),
    )  # fmt: skip
    with _Bars(*columns, console=console) as bars:
        rows: dict[str, TaskID] = {}
        patiently = Patience(bars.console, check)
        while (state := patiently(lambda: client.read_run(run_id)))["status"] not in FINISHED:
            _show(bars, rows, state)
            bars.tell(state["progress"]["message"])
            check()
            time.sleep(POLL_SECONDS)
        _show(bars, rows, state)
        # The summary says the last one.
        bars.tell("")
    return state


class _Bars(Progress):
    """The bars, and under them what the run says: they alone do not tell waiting from standing still."""

    message = ""

    def tell(self, message: str) -> None:
        self.message = message
        self.refresh()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.message:
            yield Text(self.message, style="dim")


def _show(bars: Progress, rows: dict[str, TaskID], state: dict[str, Any]) -> None:
    for stage, count in state["progress"]["stages"].items():
        if stage not in rows:
            rows[stage] = bars.add_task(stage, total=count["total"], status="", start=False)
        if stage in state["stage_status"]:
            bars.start_task(rows[stage])
        status = state["stage_status"].get(stage, "waiting")
        bars.update(rows[stage], completed=count["done"], status=status)
        if status == "completed":
            bars.stop_task(rows[stage])
