"""The search for several people's addresses at one domain, by asking its mail server in rounds.

The measure is few questions per found address. A round asks, for each person still sought, the candidates
that together make a hit likely enough; while the domain's pattern is unknown, only for a few people. What a
round taught reorders the next one, so that once the pattern is known everybody's likely address is asked at
once. After the first acceptance an invented address tells whether the server's yes means anything.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.lookup.belief import PatternBelief
from pipeline.lookup.candidates import Candidate, likeliest
from pipeline.lookup.names import Name
from pipeline.lookup.planning import Questions, plan_round
from pipeline.lookup.sought import Sought, seek
from pipeline.mail.answer import Answer
from pipeline.mail.conversation import Conversation
from pipeline.mail.meanings import DEFERRED, EXISTS, SETTLED, Meaning
from pipeline.mail.network import MailNetwork
from pipeline.outcomes import Reason

PATIENCE_WITH_A_SERVER = 10
"""Questions to a server that settles nothing about anybody, until it is left alone."""

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

    `taken` are local parts known to belong to others; those that are found join them.
    """

    def __init__(
        self, conversation: Conversation, network: MailNetwork, belief: PatternBelief, taken: set[str]
    ) -> None:
        self._conversation = conversation
        self._network = network
        self._belief = belief
        self._taken = taken
        self._unknown: set[str] = set()
        self._told_something = False
        self._asked = 0
        self._probes = 0
        self._catch_all: bool | None = None
        self._stopped: Answer | None = None

    async def find(self, names: Sequence[Name]) -> AsyncIterator[Finding]:
        """Yield one finding per name, in any order, as each is known."""
        self._conversation.restart_clock()
        waiting = {name: seek(name) for name in names}
        while waiting and self._stopped is None:
            people = list(waiting.values())
            for person in people:
                person.leave_out(self._taken, self._unknown)
            findings = [self._not_found(person) for person in people if person.best(self._belief) is None]
            questions = plan_round(people, self._belief)
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

    async def _ask(self, questions: Questions) -> list[Finding]:
        """Ask one round, and give what it settled."""
        addresses = {local_part: f"{local_part}@{self._conversation.domain}" for local_part in questions}
        replies = await self._conversation.ask(addresses.values())
        answers = {local_part: replies[address] for local_part, address in addresses.items()}
        for owners in questions.values():
            for person, _ in owners:
                person.asked += 1
        if self._is_pointless(answers.values()):
            self._stopped = next(iter(answers.values()))
            return []
        await self._probe(answers)
        return [] if self._catch_all else self._settle(questions, answers)

    def _is_pointless(self, answers: Collection[Answer]) -> bool:
        """Say whether to leave a server that puts us off, or has told nothing about anybody so far."""
        if any(answer.meaning in SETTLED or answer.denied for answer in answers):
            self._told_something = True
        self._asked += len(answers)
        off = all(answer.meaning in DEFERRED for answer in answers)
        return off or (not self._told_something and self._asked >= PATIENCE_WITH_A_SERVER)

    async def _probe(self, answers: Mapping[str, Answer]) -> None:
        """After the first yes, find out what a yes is worth here."""
        accepted = next((answer for answer in answers.values() if answer.meaning in EXISTS), None)
        if accepted is None or self._catch_all is not None or self._probes == PROBES:
            return
        self._probes += 1
        self._catch_all = await self._network.is_catch_all(self._conversation)
        if self._catch_all:
            self._stopped = accepted

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
            if person.is_deferred and id(person) not in settled:
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
        unproven = replace(answer, meaning=Meaning.UNCLEAR) if answer.meaning in EXISTS else answer
        for owner, _ in owners:
            del owner.options[candidate.local_part]
            owner.open_answers.append(unproven)
        return None

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
