"""The search for several people's addresses at one domain, by asking its mail server in rounds.

The measure is few questions per found address. A round asks, for each person still sought, the candidates
that together make a hit likely enough; while the domain's pattern is unknown, only for a few people. What a
round taught reorders the next one, so that once the pattern is known everybody's likely address is asked at
once. After the first acceptance an invented address tells whether the server's yes means anything.

A server that greylists is asked about everything at once instead, the invented address included, so that all of
it has passed the greylist when the same people are sought again.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.lookup.belief import PatternBelief
from pipeline.lookup.candidates import LIMIT, Candidate, likeliest
from pipeline.lookup.names import Name
from pipeline.lookup.planning import Questions, plan_all, plan_round
from pipeline.lookup.sought import Sought, seek
from pipeline.mail.answer import Answer
from pipeline.mail.enquiry import Enquiry
from pipeline.mail.meanings import ABOUT_US, EXISTS, SETTLED, Meaning
from pipeline.mail.network import MailNetwork
from pipeline.outcomes import Reason

PATIENCE_WITH_A_SERVER = 10
"""Questions to a server that settles nothing about anybody, until it is left alone."""

QUESTIONS_EACH = 4
"""Questions that a person takes on average, for the estimate of how many can be looked up in time."""

PROBES = 2
"""Rounds after which an invented address is asked about, until the server shows what its yes is worth."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the search says about a person: with a `candidate`, that is the address.

    `answer` is the one that explains the finding, None if nobody was asked. `by_pattern` tells that the
    domain's pattern was known when it was asked; at a catch-all the pattern is all there is.
    """

    name: Name
    reason: Reason
    answer: Answer | None
    asked: int
    candidate: Candidate | None = None
    by_pattern: bool = False
    catch_all: bool | None = None


class DomainSearch:
    """Searches one domain's people, group by group, in one conversation; learns from each for the next.

    `taken` are local parts known to belong to others; those that are found join them. `coming_back` are people
    who will be sought again if the server asks for that.
    """

    def __init__(
        self,
        conversation: Enquiry,
        network: MailNetwork,
        belief: PatternBelief,
        taken: set[str],
        coming_back: Collection[Name] = (),
    ) -> None:
        self._conversation = conversation
        self._network = network
        self._belief = belief
        self._taken = taken
        self._coming_back = coming_back
        self._greylisting = False
        self._kept: Mapping[str, Answer] = {}
        self._unknown: set[str] = set()
        self._told_something = False
        self._asked = 0
        self._probes = 0
        self._catch_all: bool | None = None
        self._nobody: Answer | None = None
        self._stopped: Answer | None = None

    @property
    def questions_each(self) -> int:
        """How many questions a person takes on average."""
        return LIMIT if self._greylisting else QUESTIONS_EACH

    async def find(self, names: Sequence[Name]) -> AsyncIterator[Finding]:
        """Yield one finding per name, in any order, as each is known."""
        self._conversation.restart_clock()
        waiting = {name: seek(name, self._belief.confirmed) for name in names}
        while waiting and self._stopped is None:
            people = list(waiting.values())
            for person in people:
                person.leave_out(self._taken, self._unknown)
            findings = [self._not_found(person) for person in people if person.best(self._belief) is None]
            questions = self._plan(people)
            if questions:
                findings += await self._ask(questions)
            for finding in findings:
                del waiting[finding.name]
                yield finding
        for person in waiting.values():
            yield self._not_found(person)
        if self._stopped and self._stopped.meaning is Meaning.TIME_LIMIT and len(waiting) < len(names):
            # The time was too short for this group, but the server does answer: the next one has its own.
            self._stopped = None

    def _plan(self, people: Sequence[Sought]) -> Questions:
        coming_back = [person for person in people if person.name in self._coming_back]
        self._greylisting = self._greylisting and bool(coming_back)
        return plan_all(coming_back, self._belief) if self._greylisting else plan_round(people, self._belief)

    async def _ask(self, questions: Questions) -> list[Finding]:
        """Ask one round, and give what it settled."""
        answers = await self._answers(questions)
        if self._begins_greylisting(questions, answers.values()):
            self._kept = answers
            return []
        for owners in questions.values():
            for person, _ in owners:
                person.asked += 1
        if self._is_pointless(answers.values()):
            self._stopped = next(iter(answers.values()))
            return []
        await self._probe(answers)
        self._greylisting = self._greylisting and _are_greylisted(answers.values())
        return [] if self._catch_all else self._settle(questions, answers)

    async def _answers(self, local_parts: Iterable[str]) -> Mapping[str, Answer]:
        """Ask about what the round before did not: its answers, if kept, count in this one."""
        kept, self._kept = self._kept, {}
        addresses = {local_part: f"{local_part}@{self._conversation.domain}" for local_part in local_parts}
        replies = await self._conversation.ask(addresses[each] for each in addresses if each not in kept)
        return {each: kept.get(each) or replies[address] for each, address in addresses.items()}

    def _begins_greylisting(self, questions: Questions, answers: Collection[Answer]) -> bool:
        """Note that the server greylists, if that is new and one of those asked about will come back for it."""
        asked_about = {person.name for owners in questions.values() for person, _ in owners}
        if self._greylisting or asked_about.isdisjoint(self._coming_back):
            return False
        self._greylisting = _are_greylisted(answers)
        return self._greylisting

    def _is_pointless(self, answers: Collection[Answer]) -> bool:
        """Say whether to leave a server that refuses us, or has told nothing about anybody so far."""
        if any(answer.meaning in SETTLED or answer.denied for answer in answers):
            self._told_something = True
        self._asked += len(answers)
        if self._greylisting:
            return False
        refused = all(answer.meaning in ABOUT_US - {Meaning.GREYLISTED} for answer in answers)
        return refused or (not self._told_something and self._asked >= PATIENCE_WITH_A_SERVER)

    async def _probe(self, answers: Mapping[str, Answer]) -> None:
        """After the first yes, find out what a yes is worth here; of a greylist ask to find it out next time."""
        accepted = next((answer for answer in answers.values() if answer.meaning in EXISTS), None)
        for_next_time = self._greylisting and self._nobody is None
        if not (accepted or for_next_time) or self._catch_all is not None or self._probes == PROBES:
            return
        self._probes += 1
        self._nobody = await self._network.ask_about_nobody(self._conversation)
        self._catch_all = self._nobody.says_catch_all
        if self._catch_all:
            self._stopped = accepted or self._nobody

    def _settle(self, questions: Questions, answers: Mapping[str, Answer]) -> list[Finding]:
        """Draw the conclusions of a round: refusals first, which tell what a yes is worth, then the likeliest."""
        pattern = self._belief.dominant
        settled: dict[int, Finding] = {}
        by_weight = sorted(
            questions,
            key=lambda local_part: (
                answers[local_part].meaning in EXISTS,
                -questions[local_part][0][1].probability,
            ),
        )
        for local_part in by_weight:
            owners = [owner for owner in questions[local_part] if id(owner[0]) not in settled]
            if owners:
                person = owners[0][0]
                finding = self._conclude(owners, answers[local_part], pattern)
                if finding is not None:
                    settled[id(person)] = finding
        for person, _ in (owner for owners in questions.values() for owner in owners):
            if person.is_put_off and id(person) not in settled:
                settled[id(person)] = self._not_found(person)
        return list(settled.values())

    def _conclude(
        self, owners: Sequence[tuple[Sought, Candidate]], answer: Answer, pattern: str | None
    ) -> Finding | None:
        """Take in the answer about one local part; a finding about its likeliest owner if that settles it."""
        person, candidate = owners[0]
        if answer.denied:
            self._refuse(candidate.local_part, owners, answer)
            return None
        if answer.meaning is Meaning.MAILBOX_DISABLED:
            self._own(person, candidate)
            return Finding(person.name, answer.reason, answer, person.asked)
        if answer.meaning in EXISTS and self._yes_is_proof:
            self._own(person, candidate)
            by_pattern = candidate.pattern == pattern
            return Finding(person.name, answer.reason, answer, person.asked, candidate, by_pattern, self._catch_all)
        for owner, _ in owners:
            del owner.options[candidate.local_part]
            owner.open_answers.append(self._unproven(answer) if answer.meaning in EXISTS else answer)
        return None

    def _unproven(self, accepted: Answer) -> Answer:
        """A yes of unknown worth settles nothing, or not yet, if what it is worth can be asked later."""
        if self._nobody is not None and self._nobody.may_change:
            return self._nobody
        return replace(accepted, meaning=Meaning.UNCLEAR)

    def _refuse(self, local_part: str, owners: Sequence[tuple[Sought, Candidate]], answer: Answer) -> None:
        self._unknown.add(local_part)
        for person, _ in owners:
            before = dict(person.refused)
            person.note_refusal(local_part)
            if answer.meaning is Meaning.NO_SUCH_MAILBOX:
                person.last_refusal = answer
            else:
                person.doubtful = answer
            self._belief.note_refusal(before, person.refused)

    def _own(self, person: Sought, candidate: Candidate) -> None:
        self._taken.add(candidate.local_part)
        self._belief.note_hit(person.options[candidate.local_part], person.refused)

    @property
    def _yes_is_proof(self) -> bool:
        """Whether the server was seen to tell mailboxes apart: by the invented address, or by a refusal."""
        return self._catch_all is False or bool(self._unknown)

    def _not_found(self, person: Sought) -> Finding:
        if self._catch_all:
            return self._inferred(person)
        answer = person.explanation
        if self._stopped is not None and not person.open_answers:
            answer = self._stopped
        if answer is None or answer.meaning is Meaning.NO_SUCH_MAILBOX:
            return Finding(person.name, Reason.EVERY_CANDIDATE_REFUSED, answer, person.asked)
        return Finding(person.name, answer.reason, answer, person.asked)

    def _inferred(self, person: Sought) -> Finding:
        """At a catch-all only the pattern can speak, if enough addresses confirmed it elsewhere."""
        person.leave_out(self._taken, ())
        inferred = likeliest(person.options, self._belief.chances_of({})) if self._belief.is_well_founded else None
        if inferred is not None:
            self._taken.add(inferred.local_part)
        return Finding(
            person.name,
            Reason.CATCH_ALL,
            self._stopped,
            person.asked,
            inferred,
            by_pattern=True,
            catch_all=True,
        )


def _are_greylisted(answers: Collection[Answer]) -> bool:
    return all(answer.meaning is Meaning.GREYLISTED for answer in answers)
