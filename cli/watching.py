"""Shows the progress of a run until it is finished, even if the API is unavailable meanwhile."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from cli.client import ApiAway, ApiClient
from cli.exit_codes import Interrupted
from cli.terminal import printable, say

POLL_SECONDS = 0.25
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0
LONGEST_RETRY_AFTER_S = 600.0
FIRST_ANSWER_S = 60.0
"""If the API has never answered, its address is probably wrong."""
LONGEST_SILENCE_S = 48 * 3600.0
"""The default of RUN_HOURS: by then every run is finished."""
FINISHED = frozenset({"completed", "failed", "cancelled"})

T = TypeVar("T")


@contextmanager
def going_on_with(sentence: str) -> Iterator[None]:
    """Raise `Interrupted` with this sentence at Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(sentence) from error


@dataclass(slots=True)
class Patience:
    """Repeats a request while the API is unavailable, and prints that once.

    `check` is called between attempts and may raise, to stop.
    """

    console: Console
    check: Callable[[], None] = lambda: None
    has_answered: bool = False
    longest_s: float = LONGEST_SILENCE_S
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def __call__(self, request: Callable[[], T]) -> T:
        """Repeat the request until it succeeds. Raises `ApiError` if waiting can't help, or has not helped."""
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
        """Wait before the next attempt. Returns when the trouble began."""
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
    """Show the progress of a run until it is finished, and return its final state. Raises `ApiError`.

    `check` is called between requests and may raise, to stop.
    """
    columns = (
        TextColumn("{task.description:<14}"), _Bar(is_coloured=console.color_system is not None), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("{task.fields[status]}"),
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
        # The summary prints the last message.
        bars.tell("")
    return state


class _Bar(BarColumn):
    """A bar that is empty until its stage begins. Rich lets it pulse, which without colours looks like a full one."""

    def __init__(self, *, is_coloured: bool) -> None:
        super().__init__()
        self._is_coloured = is_coloured

    def render(self, task: Task) -> ProgressBar:
        bar = super().render(task)
        if not task.started and not self._is_coloured:
            # Nor is a stage finished whose contacts are not counted yet.
            bar.pulse, bar.total = False, bar.total or 1
        return bar


class _Bars(Progress):
    """Progress bars with a line below for `progress.message`, which says why nothing moves."""

    message = ""

    def tell(self, message: str) -> None:
        self.message = printable(message)
        self.refresh()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.message:
            yield Text(self.message, style="dim")


def _show(bars: Progress, rows: dict[str, TaskID], state: dict[str, Any]) -> None:
    for stage, count in state["progress"]["stages"].items():
        if stage not in rows:
            rows[stage] = bars.add_task(printable(stage), total=count["total"], status="", start=False)
        if stage in state["stage_status"]:
            bars.start_task(rows[stage])
        status = printable(state["stage_status"].get(stage, "waiting"))
        bars.update(rows[stage], completed=count["done"], status=status)
        if status == "completed":
            bars.stop_task(rows[stage])
