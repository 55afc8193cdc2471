"""A round: one run, one or more faults in the middle of it, and the verdict on what came of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from tests.faults.bounds import BOUNDS
from tests.faults.engine import FaultEngine
from tests.faults.invariants import Verdict, judge
from tests.faults.reader import Reader, reading
from tests.faults.renewals import watching_renewals
from tests.faults.scene import Blow, Fault, RunOver, Scene

PATIENCE_S = 90
"""No run may take longer than this to end by itself, whatever was done to it."""
FIRST_SENT_BOUND_S = 10.0
"""Within which a run starts whose creator died before sending it."""
OUTAGE_SECONDS = 2
"""How long servers are away in a round with one fault."""
STRIKE_AT_PERCENT = 15


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens in a round: the faults and at which percent each strikes, and how the run comes to be."""

    strikes: Mapping[Fault, int]
    outage_seconds: float
    hostile: bool = False
    creator_dies: bool = False

    @property
    def bound_s(self) -> float:
        """However many faults strike, the engine is at work again within the longest of their bounds."""
        bounds = [BOUNDS[fault] for fault in self.strikes]
        return max([*bounds, *([FIRST_SENT_BOUND_S] if self.creator_dies else [])], default=0.0)

    def __str__(self) -> str:
        """What is done, in one line."""
        parts = ["create_run_and_die"] if self.creator_dies else []
        parts += ["hostile_mail_servers"] if self.hostile else []
        parts += [f"{fault.__name__}@{percent}%" for fault, percent in self.strikes.items()]
        return ", ".join(parts) or "nothing"


def play_alone(engine: FaultEngine, fault: Fault) -> Verdict:
    """One round with one fault; prints how long it took until all work went on."""
    verdict = play(engine, Plan({fault: STRIKE_AT_PERCENT}, OUTAGE_SECONDS))
    print(f"{fault.__name__}: at work again after {verdict.resume_s:.1f} s, leased again: {verdict.leased_again}")  # noqa: T201
    return verdict


def play(engine: FaultEngine, plan: Plan) -> Verdict:
    """One round. Raises `TimeoutError` when the run does not end by itself."""
    engine.forget_patterns()
    people = [*engine.world.people, *(engine.world.hostile_people if plan.hostile else ())]
    run_id = engine.create_run_and_die(people) if plan.creator_dies else engine.create_run(people)
    created_at = engine.now()
    blows = [Blow("create_run_and_die", created_at, created_at)] if plan.creator_dies else []
    with reading(engine.credentials, run_id) as readers, watching_renewals(engine, run_id) as renewals:
        blows += _strike(engine, run_id, plan, readers[0])
        for reader in readers:
            reader.wait_for_end(PATIENCE_S)
    # Among mail servers that answer, only what is recorded counts as work.
    return judge(engine, run_id, readers, blows, renewals if plan.hostile else (), plan.bound_s)


def _strike(engine: FaultEngine, run_id: UUID, plan: Plan, reader: Reader) -> Iterator[Blow]:
    """Each fault in its turn; those whose turn would come after the run's end have none."""
    for fault, percent in plan.strikes.items():
        reader.wait_for(percent)
        if reader.finished:
            return
        try:
            yield fault(Scene(engine, run_id, plan.outage_seconds))
        except RunOver:
            return
