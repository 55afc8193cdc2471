"""The search for several people's addresses at one domain, by asking its mail server in rounds.

The measure is few questions per found address: `planning` chooses each round's, and what a round taught reorders the
next one. A yes counts for something once the server was seen to refuse a local part: one that somebody could have
had, or else an invented one. What the answers mean for the people is for `conclusions` to say.

A server that greylists is asked in one go at each visit, about the invented address, too, so that all of it has
passed the greylist when the same people are sought again. Of many people only the samples are asked about at the first
visit. If it then turns out to greylist clients rather than recipients, everything is known at the second one. At later
visits some are answered and others put off: these are asked about once more, by what those have shown.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence

from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.candidates import LIMIT
from pipeline.lookup.patterns.model import PatternModel
from pipeline.lookup.search.conclusions import Conclusions, Finding
from pipeline.lookup.search.planning import HOPE_OF_MANY, ProbePlan, plan_round, plan_visit
from pipeline.lookup.search.target import Target
from pipeline.mail.network import MailNetwork
from pipeline.mail.probe import Prober
from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.meaning import ABOUT_US, CONCLUSIVE, EXISTS, Meaning

PATIENCE_WITH_A_SERVER = 10
"""Probes to a server that settles nothing about anybody, until it is left alone."""

PROBES_EACH = 4
"""Probes that a person takes on average, for the estimate of how many can be looked up in time."""

FEW = 8
"""So few people are found at the second visit to a greylisting server, whatever the pattern, for few questions."""
PROBES = 2
"""Rounds after which an invented address is asked about, until the server shows what its yes is worth."""


class DomainSearch:
    """Searches one domain's people, group by group, in one conversation; learns from each for the next.

    `everybody` are all people who will be sought here, and those colleagues who are sought elsewhere. `taken` are
    local parts known to belong to others; those that are found join them. `coming_back` are people who will be sought
    again if the server asks for that, with how often. `was_answered` says that the server has settled something
    about somebody so far.
    """

    def __init__(
        self,
        conversation: Prober,
        network: MailNetwork,
        model: PatternModel,
        everybody: Collection[Name],
        taken: set[str],
        coming_back: Mapping[Name, int] | None = None,
    ) -> None:
        self._conversation = conversation
        self._network = network
        self._conclusions = Conclusions(model, taken, everybody)
        self._coming_back = {name: times for name, times in (coming_back or {}).items() if times}
        self._greylisting = False
        self._greylisted: Answer | None = None
        self._kept: Mapping[str, Answer] = {}
        self._for_the_next_visit: ProbePlan = {}
        self._greylisted_by_now: dict[str, Answer] = {}
        self.was_answered = False
        self._asked = 0
        self._asked_before_the_last_look = 0
        self._probes = 0

    @property
    def probes_each(self) -> int:
        """How many questions a person takes on average."""
        return LIMIT if self._greylisting else PROBES_EACH

    async def find(self, names: Sequence[Name]) -> AsyncIterator[Finding]:
        """Yield a finding per name, in any order, as each is known.

        Who was refused, or shares a claim, waits for what others show: until `decide`, or for another look.
        """
        self._conversation.restart_clock()
        conclusions = self._conclusions
        conclusions.seek(names, self._coming_back)
        for finding in self._defer(names):
            yield finding
        while conclusions.stopped is None:
            for finding in conclusions.prepare():
                yield finding
            if not conclusions.waiting:
                return
            questions = self._plan(conclusions.asking) if conclusions.asking else self._plan_the_next_visit()
            for finding in await self._ask(questions) if questions else conclusions.give_up():
                yield finding
            for finding in self._defer([name for name, person in conclusions.waiting.items() if not person.sample_for]):
                yield finding
        for finding in conclusions.settle(self._for_the_next_visit, self._greylisted_by_now):
            yield finding
        late = conclusions.stopped.meaning is Meaning.TIME_LIMIT and len(conclusions.waiting) < len(names)
        for person in conclusions.waiting.values():
            yield conclusions.not_found(person)
        conclusions.waiting.clear()
        if late:
            # The time was too short for this group, but the server does answer: the next one has its own.
            conclusions.stopped = None

    @property
    def has_stopped(self) -> bool:
        """Whether nothing more is asked of this server: what is left is told at once."""
        return self._conclusions.stopped is not None

    @property
    def worth_another_look(self) -> Sequence[Name]:
        """Who was given up, and is worth asking about by what others have shown since: to be sought again."""
        if self._conclusions.stopped is not None or self._asked == self._asked_before_the_last_look:
            return []
        self._asked_before_the_last_look = self._asked
        return self._conclusions.worth_another_look

    @property
    def rivals(self) -> Sequence[Name]:
        """Who claims an address beside those who were sought, and was not sought here: to be sought, too."""
        return self._conclusions.rivals

    def decide(self) -> Iterator[Finding]:
        """Yield the rest, when everybody was sought."""
        yield from self._conclusions.decide()

    def _plan(self, people: Sequence[Target]) -> ProbePlan:
        model = self._conclusions.model
        coming_back = [person for person in people if person.comes_back]
        self._greylisting = self._greylisting and bool(coming_back)
        if not self._greylisting:
            return plan_round(people, model)
        return plan_visit(
            coming_back, self._on_the_last_occasion, self._hope_for_a_visit, len(self._coming_back), model
        )

    def _plan_the_next_visit(self) -> ProbePlan:
        """Choose what those who must come back are asked about, now that the others have shown what they can."""
        conclusions = self._conclusions
        conclusions.resting.clear()
        self._greylisting, self._kept = True, self._greylisted_by_now
        self._greylisted = next(iter(self._kept.values()))
        asked, self._for_the_next_visit, self._greylisted_by_now = self._for_the_next_visit, {}, {}
        return self._plan(list(conclusions.waiting.values())) | asked

    @property
    def _hope_for_a_visit(self) -> float:
        """How sure to be of somebody while the pattern is unknown; a lone person has another visit to be found at."""
        is_alone = len(self._coming_back) == 1 and max(self._coming_back.values()) > 1
        return 1.0 if self._are_few and not is_alone else HOPE_OF_MANY

    def _defer(self, names: Iterable[Name]) -> Iterator[Finding]:
        """Have those wait who need not be asked about before the samples have shown the pattern."""
        if self._greylisting and self._greylisted and not self._conclusions.model.dominant:
            may_wait = self._coming_back.keys() - self._on_the_last_occasion
            yield from self._conclusions.defer(may_wait.intersection(names), self._greylisted)

    @property
    def _on_the_last_occasion(self) -> Collection[Name]:
        """Who is sought for the last time but one; where few are sought, all of them are asked about as thoroughly."""
        return {name for name, times in self._coming_back.items() if self._are_few or times == 1}

    @property
    def _are_few(self) -> bool:
        return len(self._coming_back) <= FEW

    async def _ask(self, questions: ProbePlan) -> Sequence[Finding]:
        """Ask one round, and give what it settled."""
        answers = await self._answers(questions)
        if self._begins_greylisting(questions, answers.values()):
            self._kept = answers
            return []
        for owners in questions.values():
            for person, _ in owners:
                person.asked += 1
        if self._is_pointless(answers.values()):
            self._conclusions.stopped = next(iter(answers.values()))
            return []
        await self._probe(answers)
        if not self._greylisting:
            questions = self._without_those_who_rest(questions, answers)
        self._greylisting = self._greylisting and _are_greylisted(answers.values())
        return [] if self._conclusions.is_catch_all else list(self._conclusions.settle(questions, answers))

    def _without_those_who_rest(self, questions: ProbePlan, answers: Mapping[str, Answer]) -> ProbePlan:
        """Leave aside who was greylisted while others were answered: what these show may be worth asking, too."""
        heard = {
            person.name
            for local_part, owners in questions.items()
            for person, _ in owners
            if answers[local_part].meaning is not Meaning.GREYLISTED or not person.comes_back
        }
        going_on: ProbePlan = {}
        for local_part, owners in questions.items():
            for owner in owners:
                rests = owner[0].name not in heard
                (self._for_the_next_visit if rests else going_on).setdefault(local_part, []).append(owner)
                if rests:
                    self._conclusions.resting.add(owner[0].name)
                    self._greylisted_by_now[local_part] = answers[local_part]
        return going_on

    async def _answers(self, local_parts: Iterable[str]) -> Mapping[str, Answer]:
        """Ask about what the round before did not: its answers, if kept, count in this one."""
        kept, self._kept = self._kept, {}
        addresses = {local_part: f"{local_part}@{self._conversation.domain}" for local_part in local_parts}
        replies = await self._conversation.probe(addresses[each] for each in addresses if each not in kept)
        return {each: kept.get(each) or replies[address] for each, address in addresses.items()}

    def _begins_greylisting(self, questions: ProbePlan, answers: Collection[Answer]) -> bool:
        """Note that the server greylists, if that is new and one of those asked about will come back for it."""
        asked_about = {person.name for owners in questions.values() for person, _ in owners}
        if self._greylisting or asked_about.isdisjoint(self._coming_back):
            return False
        self._greylisting = _are_greylisted(answers)
        self._greylisted = next(iter(answers))
        return self._greylisting

    def _is_pointless(self, answers: Collection[Answer]) -> bool:
        """Say whether to leave a server that refuses us, or has told nothing about anybody so far."""
        if any(answer.meaning in CONCLUSIVE or answer.denied for answer in answers):
            self.was_answered = True
        self._asked += len(answers)
        if self._greylisting:
            return False
        refused = all(answer.meaning in ABOUT_US - {Meaning.GREYLISTED} for answer in answers)
        return refused or (not self.was_answered and self._asked >= PATIENCE_WITH_A_SERVER)

    async def _probe(self, answers: Mapping[str, Answer]) -> None:
        """After a yes and no refusal, find out what a yes is worth here; of a greylist ask to find it out next time."""
        conclusions = self._conclusions
        accepted = next((answer for answer in answers.values() if answer.meaning in EXISTS), None)
        for_next_time = self._greylisting and conclusions.random_probe is None
        is_known = conclusions.is_catch_all is not None or any(answer.denied for answer in answers.values())
        if not (accepted or for_next_time) or is_known or self._probes == PROBES:
            return
        self._probes += 1
        conclusions.random_probe = await self._network.random_probe(self._conversation)
        if conclusions.is_catch_all:
            conclusions.stopped = accepted or conclusions.random_probe


def _are_greylisted(answers: Collection[Answer]) -> bool:
    return all(answer.meaning is Meaning.GREYLISTED for answer in answers)
