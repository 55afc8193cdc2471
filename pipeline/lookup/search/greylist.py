"""The strategy for servers that greylist: they answer at the next visit, and only about what was probed before.

A visit therefore sends all its probes at once, the random one included, so that all of them have passed the greylist
at the next visit. If there are many people, only the samples are probed at the first visit. If it then turns out that
the server greylists clients rather than recipients, everything is known at the second visit. At later visits some
people are answered and others greylisted: the latter are postponed, and probed once more by what the others have shown.
"""

from collections.abc import Collection, Container, Iterable, Mapping, Sequence

from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.model import PatternModel
from pipeline.lookup.search.conclusions import RoundResult
from pipeline.lookup.search.planning import HOPE_OF_MANY, ProbePlan, plan_round, plan_visit
from pipeline.lookup.search.target import Target
from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.meaning import Meaning

FEW = 8
"""Up to so many people are found at the second visit whatever the pattern, with few probes."""


class GreylistVisits:
    """Plans the probes of visits once the server has greylisted somebody who can be searched for again.

    `left` says how many more visits there can be for each person.
    """

    def __init__(self, left: Mapping[Name, int]) -> None:
        self._left = {name: visits for name, visits in left.items() if visits}
        self._greylisted: Answer | None = None
        self._known: Mapping[str, Answer] = {}
        self._postponed: ProbePlan = {}
        self._postponed_answers: dict[str, Answer] = {}

    @property
    def is_active(self) -> bool:
        """Whether rounds are planned as visits."""
        return self._greylisted is not None

    @property
    def people(self) -> Container[Name]:
        """Everybody for whom there can be another visit."""
        return self._left.keys()

    def start(self, plan: ProbePlan, answers: Mapping[str, Answer]) -> bool:
        """Start a visit if the server turns out to greylist; its first answers are kept for the visit's own plan."""
        names = {target.name for owners in plan.values() for target, _ in owners}
        if self.is_active or names.isdisjoint(self._left) or not _are_greylisted(answers.values()):
            return False
        self._greylisted, self._known = next(iter(answers.values())), answers
        return True

    def plan(self, targets: Sequence[Target], model: PatternModel) -> ProbePlan:
        """Choose the probes of a visit; of an ordinary round if there can be no other visit for these people."""
        coming_back = [target for target in targets if target.comes_back]
        if not coming_back:
            self._greylisted = None
            return plan_round(targets, model)
        return plan_visit(coming_back, self._last_time, self._hope, len(self._left), model)

    def plan_next(self, targets: Sequence[Target], model: PatternModel) -> ProbePlan:
        """Choose the probes for the next visit, now that the others have shown what they can."""
        postponed, self._known = self._postponed, self._postponed_answers
        self._postponed, self._postponed_answers = {}, {}
        self._greylisted = next(iter(self._known.values()))
        return self.plan(targets, model) | postponed

    def take_known(self) -> Mapping[str, Answer]:
        """Return the answers of this visit that are known already, once."""
        known, self._known = self._known, {}
        return known

    def postpone(self, plan: ProbePlan, answers: Mapping[str, Answer]) -> Collection[Name]:
        """Postpone the people who had only greylisted answers while others were answered; return their names."""
        owners = [(local_part, owner) for local_part, all_owners in plan.items() for owner in all_owners]
        answered = {
            target.name
            for local_part, (target, _) in owners
            if answers[local_part].meaning is not Meaning.GREYLISTED or not target.comes_back
        }
        postponed = [(local_part, owner) for local_part, owner in owners if owner[0].name not in answered]
        for local_part, owner in postponed:
            self._postponed.setdefault(local_part, []).append(owner)
            self._postponed_answers[local_part] = answers[local_part]
        return {owner[0].name for _, owner in postponed}

    def take_postponed(self) -> RoundResult:
        """Return the probes postponed with their answers, once."""
        result = RoundResult(self._postponed, self._postponed_answers)
        self._postponed, self._postponed_answers = {}, {}
        return result

    def note(self, answers: Collection[Answer]) -> None:
        """End the visit once the server has answered something else."""
        if not _are_greylisted(answers):
            self._greylisted = None

    def deferred(self, names: Iterable[Name], model: PatternModel) -> tuple[Collection[Name], Answer] | None:
        """Return who need not be probed before the samples have shown the pattern, and the server's answer."""
        if self._greylisted is None or model.dominant:
            return None
        return (self._left.keys() - self._last_time).intersection(names), self._greylisted

    @property
    def _hope(self) -> float:
        """How certain to be of a person while the pattern is unknown; a lone one may have yet another visit."""
        is_alone = len(self._left) == 1 and max(self._left.values()) > 1
        return 1.0 if self._are_few and not is_alone else HOPE_OF_MANY

    @property
    def _last_time(self) -> Collection[Name]:
        """People with one more visit; if there are few people, all of them, so that all are probed as thoroughly."""
        return {name for name, visits in self._left.items() if self._are_few or visits == 1}

    @property
    def _are_few(self) -> bool:
        return len(self._left) <= FEW


def _are_greylisted(answers: Collection[Answer]) -> bool:
    return all(answer.meaning is Meaning.GREYLISTED for answer in answers)
