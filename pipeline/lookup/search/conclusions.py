"""What the answers of a domain's server mean for the people who are sought there."""

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.candidates import Candidate, likeliest
from pipeline.lookup.patterns.model import PatternModel
from pipeline.lookup.patterns.spelling_stats import SpellingStyles
from pipeline.lookup.search.contested import ContestedAddress, ContestedAddresses
from pipeline.lookup.search.planning import ProbePlan
from pipeline.lookup.search.target import WORTH_ASKING, Target, seek
from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.meaning import EXISTS, Meaning
from pipeline.outcomes import Reason

SAMPLES = 2
"""People of each group who are asked about while the domain's pattern is unknown."""
LIKELY_ENOUGH = 0.4
"""What can only be inferred is said from this chance on: below, it is more likely a stranger's or nobody's."""
ENOUGH_UNEXPLAINED = 2
"""From so many people on that the domain's pattern does not explain, a second pattern is looked for."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the search says about a person: with a `candidate`, that is the address.

    `answer` is the one that explains the finding, None if nobody was asked. `by_pattern` tells that the
    domain's pattern was known when it was asked; at a catch-all the pattern is all there is. `refused` are the
    patterns by which the person has no address.
    """

    name: Name
    reason: Reason
    answer: Answer | None
    asked: int
    candidate: Candidate | None = None
    by_pattern: bool = False
    catch_all: bool | None = None
    refused: Sequence[str] = ()


class Conclusions:
    """The people sought at one domain, and what is known of them and of the domain.

    `waiting` are those who are sought now, `asking` those of them that are worth asking about; `random_probe` is the
    answer about an invented address, `stopped` the one for which nothing more is asked. Who is `resting` is asked about
    when this visit has shown all it can, for the next one. `taken` are local parts known to belong to others; those
    that are found join them.
    """

    def __init__(self, model: PatternModel, taken: set[str], everybody: Collection[Name]) -> None:
        self.model = model
        self.waiting: dict[Name, Target] = {}
        self.asking: list[Target] = []
        self.resting: set[Name] = set()
        self.random_probe: Answer | None = None
        self.stopped: Answer | None = None
        self._taken = taken
        self._unknown: set[str] = set()
        self._contested = ContestedAddresses(everybody)
        self._seen: set[Name] = set()
        self._found: set[Name] = set()
        self._undecided: dict[Name, Target] = {}
        self._given_up: dict[Name, Target] = {}
        self._lost = 0
        self._styles = SpellingStyles()
        self._spelled = 0

    def seek(self, names: Sequence[Name], coming_back: Container[Name]) -> None:
        """Begin to seek more people; what somebody else's turn has shown of them is known."""
        self.waiting = {name: self._seek(name) for name in names}
        self._seen.update(names)
        clear_names = sorted(self.waiting.values(), key=lambda person: -person.clarity)
        for sample in clear_names[:SAMPLES]:
            sample.sample_for = len(names)
        for name, person in self.waiting.items():
            person.comes_back = name in coming_back

    def prepare(self) -> Iterator[Finding]:
        """Choose who is asked about next; give what can be said without asking."""
        yield from self._won()
        self._spell()
        for person in self.waiting.values():
            person.leave_out(self._taken, self._unknown, self.model)
            self._note_contested(person)
        self.model.note_unexplained(self._lost + sum(map(self._is_unexplained, self._held.values())))
        active = [person for name, person in self.waiting.items() if name not in self.resting]
        self.asking = [person for person in active if person.best(self.model)] or self._exploratory_probe(active)
        if not self.asking and not self.resting:
            yield from self.give_up()

    def settle(self, questions: ProbePlan, answers: Mapping[str, Answer]) -> Iterator[Finding]:
        """Draw the conclusions of a round: refusals first, which tell what a yes is worth, then the likeliest."""
        by_weight = sorted(
            questions,
            key=lambda each: (answers[each].meaning in EXISTS, -questions[each][0][1].probability),
        )
        for local_part in by_weight:
            # While somebody rested, the address may have become a colleague's.
            owners = [p for p, _ in questions[local_part] if p.name in self.waiting and local_part in p.options]
            yield from self._conclude(local_part, owners, answers[local_part])
        for person in (person for owners in questions.values() for person, _ in owners):
            if person.is_deferred and person.name in self.waiting:
                del self.waiting[person.name]
                yield self.not_found(person)

    def defer(self, names: Container[Name], answer: Answer) -> Iterator[Finding]:
        """Let these people wait, with what somebody else was told for a reason."""
        for name in [each for each in self.waiting if each in names]:
            yield self._finding(self.waiting.pop(name), answer.reason, answer)

    def give_up(self) -> Iterator[Finding]:
        """Nobody who waits is worth asking about any more; who claims something waits for what becomes of it.

        So does who was refused: others may yet show a pattern that explains them, too.
        """
        for person in self.waiting.values():
            if self._contested.of(person.name):
                self._undecided[person.name] = person
            elif not person.open_answers:
                self._given_up[person.name] = person
            else:
                self._lost += self._is_unexplained(person)
                yield self.not_found(person)
        self.waiting.clear()

    def decide(self) -> Iterator[Finding]:
        """Give the rest, when everybody was sought: who is left with a claim of their own, and who is not."""
        self.waiting |= self._held
        self._contested.forget_strangers()
        yield from self._won()
        for person in self.waiting.values():
            contested = next(iter(self._contested.of(person.name).values()), None)
            yield self._finding(person, Reason.NAMESAKES, contested.answer) if contested else self.not_found(person)

    def not_found(self, person: Target) -> Finding:
        """Say why somebody is not found; at a catch-all, infer the address if the pattern is known well enough."""
        if self.is_catch_all:
            return self._inferred(person)
        answer = person.explanation
        if self.stopped is not None and not person.open_answers and person.name not in self._given_up:
            answer = self.stopped
        if answer is None or answer.meaning is Meaning.NO_SUCH_MAILBOX:
            return self._finding(person, Reason.EVERY_CANDIDATE_REFUSED, answer)
        return self._finding(person, answer.reason, answer)

    @property
    def worth_another_look(self) -> Sequence[Name]:
        """Who was given up, and is worth asking about by what others have shown since."""
        if self.model.dominant is None:
            return []
        for person in self._held.values():
            person.leave_out(self._taken, self._unknown, self.model)
            self._note_contested(person)
        return [name for name, person in self._held.items() if person.best(self.model)]

    @property
    def rivals(self) -> Sequence[Name]:
        """Who claims an address that somebody else here claims as well, and was never sought."""
        return [name for name in self._contested.contenders if name not in self._seen]

    @property
    def is_catch_all(self) -> bool | None:
        """Whether the server's yes means nothing; not so if it was seen to refuse what somebody could have had."""
        if self._unknown:
            return False
        return self.random_probe.says_catch_all if self.random_probe else None

    # Inside

    @property
    def _held(self) -> Mapping[Name, Target]:
        """Everybody who has no finding yet."""
        return self.waiting | self._undecided | self._given_up

    def _seek(self, name: Name) -> Target:
        known = self._given_up.pop(name, None) or self._undecided.pop(name, None)
        return known or self._new(name)

    def _note_contested(self, person: Target) -> None:
        contested = self._contested.of(person.name)
        shares = {local_part: address.share(person.name) for local_part, address in contested.items()}
        usual = any(address.is_for_the_usual(person.name, self.model.dominant) for address in contested.values())
        person.note_contested(shares, to_the_usual=usual)

    def _new(self, name: Name) -> Target:
        person = seek(name, self.model.confirmed)
        if (spelled := self._styles.spelled(name)) is not name:
            person.spell(spelled)
        return person

    def _spell(self) -> None:
        """Expect of everybody the style of spelling that was seen of others."""
        if self._spelled == self._styles.version:
            return
        self._spelled = self._styles.version
        for name, person in self._held.items():
            if (spelled := self._styles.spelled(name)) is not name:
                person.spell(spelled)

    def _exploratory_probe(self, people: Sequence[Target]) -> list[Target]:
        """Choose whom to ask about beyond what is worthwhile for them: a second pattern may explain others, too."""
        worth = WORTH_ASKING / (1 + self.model.outliers)
        unexplained = [replace(person, worth=worth) for person in people if person.elsewhere == 1]
        likely = {candidate: person for person in unexplained if (candidate := person.best(self.model))}
        if len(unexplained) < ENOUGH_UNEXPLAINED or not likely:
            return []
        exploratory = self.waiting[likely[max(likely, key=lambda candidate: candidate.probability)].name]
        exploratory.worth = worth
        return [exploratory]

    def _is_unexplained(self, person: Target) -> bool:
        return self.model.dominant in person.refused_patterns

    def _conclude(self, local_part: str, owners: Sequence[Target], answer: Answer) -> Iterator[Finding]:
        """Take in the answer about one local part."""
        exists = answer.meaning in EXISTS
        if answer.denied:
            self._refuse(local_part, owners, answer)
        elif owners and ((exists and self.is_catch_all is False) or answer.meaning is Meaning.MAILBOX_DISABLED):
            self._note_exists(local_part, owners, answer)
            yield from self._won()
        else:
            for person in owners:
                del person.options[local_part]
                person.open_answers.append(self._unproven(answer) if exists else answer)

    def _refuse(self, local_part: str, owners: Sequence[Target], answer: Answer) -> None:
        self._unknown.add(local_part)
        for person in owners:
            before = dict(person.refused)
            person.note_refusal(local_part)
            if answer.meaning is Meaning.NO_SUCH_MAILBOX:
                person.last_refusal = answer
            else:
                person.doubtful = answer
            self.model.note_refusal(before, person.refused)

    def _unproven(self, accepted: Answer) -> Answer:
        """A yes of unknown worth settles nothing, or not yet, if what it is worth can be asked later."""
        if self.random_probe is not None and self.random_probe.may_change:
            return self.random_probe
        return replace(accepted, meaning=Meaning.UNCLEAR)

    def _note_exists(self, local_part: str, owners: Sequence[Target], answer: Answer) -> None:
        """An address exists: find out who of all that are not found yet may own it, and learn its pattern."""
        people = {person.name: person for person in owners}
        for name in self._contested.rivals(local_part, self._found):
            people.setdefault(name, self._held.get(name) or self._new(name))
        contenders = {
            name: candidate for name, person in people.items() if (candidate := self._candidate(person, local_part))
        }
        contested = self._contested.addresses[local_part] = ContestedAddress(answer, contenders, self.model.dominant)
        favourite = max(contenders, key=contested.share)
        contested.stranger = self._contested.stranger(contenders[favourite])
        self.model.note_hit(people[favourite].options[local_part], people[favourite].refused)
        for person in owners:
            del person.options[local_part]

    def _candidate(self, person: Target, local_part: str) -> Candidate | None:
        options = {local_part: person.options[local_part]} if local_part in person.options else {}
        return likeliest(options, self.model.chances_of(person.refused))

    def _won(self) -> Iterator[Finding]:
        """Give addresses to those who own them without doubt; each that is found leaves what else they claimed."""
        while won := next(self._contested.won_by(self._held), None):
            local_part, contested, name = won
            person = self._held[name]
            for holder in (self.waiting, self._undecided, self._given_up):
                holder.pop(name, None)
            self._taken.add(local_part)
            self._found.add(name)
            self._styles.note(name, local_part, contested.contenders[name].pattern)
            self._contested.withdraw(name)
            yield self._owned(person, contested)

    def _owned(self, person: Target, contested: ContestedAddress) -> Finding:
        candidate, reason = contested.contenders[person.name], contested.answer.reason
        if contested.answer.meaning not in EXISTS:
            return self._finding(person, reason, contested.answer)
        by_pattern = candidate.pattern == contested.dominant
        return replace(self._finding(person, reason, contested.answer), candidate=candidate, by_pattern=by_pattern)

    def _finding(self, person: Target, reason: Reason, answer: Answer | None) -> Finding:
        refused = person.refused_patterns
        return Finding(person.name, reason, answer, person.asked, catch_all=self.is_catch_all, refused=refused)

    def _inferred(self, person: Target) -> Finding:
        """At a catch-all only the pattern can speak, if enough addresses confirmed it elsewhere."""
        person.leave_out(self._taken, (), self.model)
        likely = likeliest(person.options, self.model.chances_of({})) if self.model.is_well_founded else None
        inferred = likely if likely and likely.probability >= LIKELY_ENOUGH else None
        if inferred is not None:
            self._taken.add(inferred.local_part)
        return Finding(
            person.name, Reason.CATCH_ALL, self.stopped, person.asked, inferred, by_pattern=True, catch_all=True
        )
