"""Searches for several people's addresses at one domain by probing its mail server in rounds.

The aim is few probes per address found: `planning` chooses those of each round, and each round changes the order of
the next. An acceptance proves something only once the server was seen to refuse a local part: one that somebody could
have had, or else a random one. `conclusions` says what the answers mean for the people, `greylist` how servers that
greylist are visited.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence

from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.candidates import LIMIT
from pipeline.lookup.patterns.model import PatternModel
from pipeline.lookup.search.conclusions import Conclusions, Finding, RoundResult
from pipeline.lookup.search.greylist import GreylistVisits
from pipeline.lookup.search.planning import ProbePlan, plan_round
from pipeline.lookup.search.server import ProbedServer
from pipeline.mail.replies.answer import Answer

PROBES_EACH = 4
"""Probes per person on average, to estimate for how many people there is time."""


class DomainSearch:
    """Searches for one domain's people, group by group, in one conversation; each group teaches the next.

    `everybody` are all people who will be searched for here, and colleagues who are searched for elsewhere. `taken`
    are local parts known to belong to others; the addresses found are added. `visits_left` says how many more visits
    there can be for a person if the server greylists.
    """

    def __init__(
        self,
        server: ProbedServer,
        model: PatternModel,
        everybody: Collection[Name],
        taken: set[str],
        visits_left: Mapping[Name, int],
    ) -> None:
        self._server = server
        self._conclusions = Conclusions(model, taken, everybody)
        self._visits = GreylistVisits(visits_left)
        self._answers_at_last_look = 0

    @property
    def probes_each(self) -> int:
        """How many probes a person takes on average."""
        return LIMIT if self._visits.is_active else PROBES_EACH

    @property
    def has_stopped(self) -> bool:
        """Whether the server is not probed any more, so that what is left takes no time."""
        return self._conclusions.has_stopped

    @property
    def rivals(self) -> Sequence[Name]:
        """People who contend for an address and have not been searched for: pass them to `find`, too."""
        return self._conclusions.rivals

    async def find(self, names: Sequence[Name]) -> AsyncIterator[Finding]:
        """Yield a finding per name, in any order, as each is known.

        People with refusals only, and those who contend for an address, get theirs from `decide` or another look.
        """
        self._server.restart_clock()
        conclusions = self._conclusions
        conclusions.add(names, self._visits.people)
        for finding in self._defer(names):
            yield finding
        while not conclusions.has_stopped:
            for finding in conclusions.update():
                yield finding
            plan = self._plan()
            if not plan:
                for finding in conclusions.end_search():
                    yield finding
                return
            for finding in await self._probe(plan):
                yield finding
            for finding in self._defer([name for name, each in conclusions.waiting.items() if not each.sample_for]):
                yield finding
        for finding in conclusions.finish_group(self._visits.take_postponed(), len(names)):
            yield finding

    def look_again(self) -> Sequence[Name]:
        """Return people who have become worth a probe again since the last look: pass them to `find` again."""
        if self._conclusions.has_stopped or self._server.answers == self._answers_at_last_look:
            return []
        self._answers_at_last_look = self._server.answers
        return self._conclusions.worth_another_look

    def decide(self) -> Iterator[Finding]:
        """Yield the remaining findings once everybody has been searched for."""
        yield from self._conclusions.decide()

    def _plan(self) -> ProbePlan:
        """Choose the probes of the next round; none if nobody is worth one."""
        conclusions, model = self._conclusions, self._conclusions.model
        targets = conclusions.worth_probing()
        if targets:
            return self._visits.plan(targets, model) if self._visits.is_active else plan_round(targets, model)
        if conclusions.waiting and conclusions.has_postponed:
            return self._visits.plan_next(conclusions.begin_visit(), model)
        return {}

    async def _probe(self, plan: ProbePlan) -> Sequence[Finding]:
        """Send the probes of a round and return what it decided."""
        answers = await self._server.probe(plan, self._visits.take_known())
        if self._visits.start(plan, answers):
            return []
        return list(self._conclusions.conclude(await self._result(plan, answers)))

    async def _result(self, plan: ProbePlan, answers: Mapping[str, Answer]) -> RoundResult:
        visits, is_visit = self._visits, self._visits.is_active
        self._server.note(answers.values())
        if not is_visit and self._server.is_pointless(answers.values()):
            return RoundResult(plan, answers, stopped=next(iter(answers.values())))
        result = RoundResult(plan, answers)
        needs_random_probe = self._conclusions.needs_random_probe(result, before_next_visit=is_visit)
        random_probe = await self._server.probe_random() if needs_random_probe else None
        postponed = frozenset() if is_visit else visits.postpone(plan, answers)
        visits.note(answers.values())
        return RoundResult(plan, answers, postponed, random_probe)

    def _defer(self, names: Iterable[Name]) -> Iterator[Finding]:
        if deferred := self._visits.deferred(names, self._conclusions.model):
            yield from self._conclusions.defer(*deferred)
