"""A round: one run, one or more faults while it runs, and the check of the result."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from tests.faults.bounds import BOUNDS
from tests.faults.engine import FaultEngine
from tests.faults.invariants import Verdict, judge
from tests.faults.reader import Reader, reading
from tests.faults.renewals import watching_renewals
from tests.faults.scene import Fault, Injection, RunOver, Scene

RUN_TIMEOUT_S = 90
"""The longest that any run may take to end by itself."""
FIRST_SENT_BOUND_S = 10.0
"""The longest that a run may take to start if its creator died before sending the chain."""
OUTAGE_SECONDS = 2
"""How long servers are unavailable in a round with one fault."""
STRIKE_AT_PERCENT = 15


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a round: its faults, the percentage at which each is injected, and how the run is created."""

    strikes: Mapping[Fault, int]
    outage_seconds: float
    hostile: bool = False
    creator_dies: bool = False

    @property
    def bound_s(self) -> float:
        """The longest of the bounds of its faults."""
        bounds = [BOUNDS[fault] for fault in self.strikes]
        return max([*bounds, *([FIRST_SENT_BOUND_S] if self.creator_dies else [])], default=0.0)

    def __str__(self) -> str:
        """The plan in one line."""
        parts = ["create_run_and_die"] if self.creator_dies else []
        parts += ["hostile_mail_servers"] if self.hostile else []
        parts += [f"{fault.__name__}@{percent}%" for fault, percent in self.strikes.items()]
        return ", ".join(parts) or "nothing"


def play_alone(engine: FaultEngine, fault: Fault) -> Verdict:
    """Play a round with one fault, and print how long recovery took."""
    verdict = play(engine, Plan({fault: STRIKE_AT_PERCENT}, OUTAGE_SECONDS))
    print(f"{fault.__name__}: working again after {verdict.resume_s:.1f} s, leased again: {verdict.leased_again}")  # noqa: T201
    return verdict


def play(engine: FaultEngine, plan: Plan) -> Verdict:
    """Play a round. Raises `TimeoutError` if the run does not end by itself."""
    engine.forget_patterns()
    people = [*engine.world.people, *(engine.world.hostile_people if plan.hostile else ())]
    run_id = engine.create_run_and_die(people) if plan.creator_dies else engine.create_run(people)
    created_at = engine.now()
    injections = [Injection("create_run_and_die", created_at, created_at)] if plan.creator_dies else []
    with reading(engine.credentials, run_id) as readers, watching_renewals(engine, run_id) as renewals:
        injections += _strike(engine, run_id, plan, readers[0])
        for reader in readers:
            reader.wait_for_end(RUN_TIMEOUT_S)
    # With mail servers that answer, only recorded outcomes count as work.
    return judge(engine, run_id, readers, injections, renewals if plan.hostile else (), plan.bound_s)


def _strike(engine: FaultEngine, run_id: UUID, plan: Plan, reader: Reader) -> Iterator[Injection]:
    """Inject each fault in turn, until the run has ended."""
    for fault, percent in plan.strikes.items():
        reader.wait_for(percent)
        if reader.finished:
            return
        try:
            yield fault(Scene(engine, run_id, plan.outage_seconds))
        except RunOver:
            return
