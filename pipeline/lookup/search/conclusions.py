"""Draws the conclusions of each round of probes for the people who are searched for at one domain."""

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.candidates import Candidate, likeliest
from pipeline.lookup.patterns.model import PatternModel
from pipeline.lookup.patterns.spelling_stats import SpellingStyles
from pipeline.lookup.search.contested import ContestedAddress, ContestedAddresses
from pipeline.lookup.search.planning import ProbePlan
from pipeline.lookup.search.target import WORTH_PROBING, Target, target_for
from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.meaning import EXISTS, Meaning
from pipeline.outcomes import Reason

SAMPLES = 2
"""People of each group who are probed while the domain's pattern is unknown."""
LIKELY_ENOUGH = 0.4
"""From this chance on an address is inferred; below, it more likely belongs to a stranger or does not exist."""
ENOUGH_UNEXPLAINED = 2
"""From so many people on that the domain's pattern does not explain, a second pattern is searched for."""


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What one round of probes showed.

    People in `postponed` had only greylisted answers while others were answered: they wait for the next visit.
    `random_probe` is the answer about a random address, if one was probed; `stopped` is the answer because of which
    the server is not probed any more.
    """

    plan: ProbePlan
    answers: Mapping[str, Answer]
    postponed: Collection[Name] = frozenset()
    random_probe: Answer | None = None
    stopped: Answer | None = None

    @property
    def accepted(self) -> Answer | None:
        """The first answer that accepts an address."""
        return next((answer for answer in self.answers.values() if answer.meaning in EXISTS), None)

    @property
    def refuses(self) -> bool:
        """Whether the server refused an address, so that accepting one proves something."""
        return any(answer.denied for answer in self.answers.values())


@dataclass(frozen=True, slots=True)
class Finding:
    """What the search found out about a person: their address, if there is a `candidate`.

    `answer` explains the finding; it is None if there was no probe. `by_pattern` says that the domain's pattern was
    known when the address was probed, or that the address is inferred from it. `refused` are the patterns by which the
    person has no address.
    """

    name: Name
    reason: Reason
    answer: Answer | None
    probes: int
    candidate: Candidate | None = None
    by_pattern: bool = False
    catch_all: bool | None = None
    refused: Sequence[str] = ()


@dataclass(slots=True)
class _People:
    """The people of a domain, by the state of their search.

    People who are `waiting` are searched for now; those of them who are `postponed`, from the next visit on. People who
    are `undecided` contend for an address. People who are `set_aside` may become worth a probe again. `seen` are all
    people who were ever searched for.
    """

    waiting: dict[Name, Target] = field(default_factory=dict)
    postponed: set[Name] = field(default_factory=set)
    undecided: dict[Name, Target] = field(default_factory=dict)
    set_aside: dict[Name, Target] = field(default_factory=dict)
    found: set[Name] = field(default_factory=set)
    seen: set[Name] = field(default_factory=set)

    @property
    def open(self) -> Mapping[Name, Target]:
        """Everybody without a finding."""
        return self.waiting | self.undecided | self.set_aside

    def resume(self, name: Name) -> Target | None:
        """Take out a person whose search goes on."""
        return self.set_aside.pop(name, None) or self.undecided.pop(name, None)

    def note_found(self, name: Name) -> None:
        for people in (self.waiting, self.undecided, self.set_aside):
            people.pop(name, None)
        self.found.add(name)


class Conclusions:
    """What is known of a domain and of the people who are searched for there.

    `taken` are local parts known to belong to others; the addresses found are added. `everybody` are all contacts who
    may own an address there.
    """

    def __init__(self, model: PatternModel, taken: set[str], everybody: Collection[Name]) -> None:
        self._model = model
        self._taken = taken
        self._unknown: set[str] = set()
        self._contested = ContestedAddresses(everybody)
        self._styles = SpellingStyles()
        self._styles_applied = 0
        self._people = _People()
        self._unexplained_before = 0
        self._random_probe: Answer | None = None
        self._stopped: Answer | None = None

    @property
    def model(self) -> PatternModel:
        return self._model

    @property
    def waiting(self) -> Mapping[Name, Target]:
        """People who are searched for now and have no finding."""
        return self._people.waiting

    @property
    def has_postponed(self) -> bool:
        """Whether somebody waits for the next visit."""
        return bool(self._people.postponed)

    @property
    def has_stopped(self) -> bool:
        """Whether the server is not probed any more."""
        return self._stopped is not None

    @property
    def is_catch_all(self) -> bool | None:
        """Whether the server accepts every address; not so if it refused one that somebody could have had."""
        if self._unknown:
            return False
        return self._random_probe.says_catch_all if self._random_probe else None

    def needs_random_probe(self, result: RoundResult, *, before_next_visit: bool) -> bool:
        """Whether to find out if this is a catch-all: after an acceptance, or for the next visit to a greylist."""
        if self.is_catch_all is not None or result.refuses:
            return False
        return result.accepted is not None or (before_next_visit and self._random_probe is None)

    @property
    def worth_another_look(self) -> Sequence[Name]:
        """People who were given up and have become worth a probe by what others have shown since."""
        if self._model.dominant is None:
            return []
        for target in self._people.open.values():
            self._update(target)
        return [name for name, target in self._people.open.items() if target.best(self._model)]

    @property
    def rivals(self) -> Sequence[Name]:
        """People who contend for an address and have never been searched for here."""
        return [name for name in self._contested.contenders if name not in self._people.seen]

    def add(self, names: Sequence[Name], coming_back: Container[Name]) -> None:
        """Add the next group of people; what the search for others has shown of them is known."""
        waiting = self._people.waiting = {name: self._people.resume(name) or self._new(name) for name in names}
        self._people.seen.update(names)
        for sample in sorted(waiting.values(), key=lambda target: -target.clarity)[:SAMPLES]:
            sample.sample_for = len(names)
        for name, target in waiting.items():
            target.comes_back = name in coming_back

    def update(self) -> Iterator[Finding]:
        """Apply what is known of the domain to everybody; yield what that decides."""
        yield from self._won()
        self._spell()
        for target in self.waiting.values():
            self._update(target)
        self._model.note_unexplained(
            self._unexplained_before + sum(map(self._is_unexplained, self._people.open.values()))
        )

    def worth_probing(self) -> Sequence[Target]:
        """Return who is to be probed next."""
        active = [target for name, target in self.waiting.items() if name not in self._people.postponed]
        return [target for target in active if target.best(self._model)] or self._exploratory(active)

    def begin_visit(self) -> Sequence[Target]:
        """Return everybody who waits, those postponed included."""
        self._people.postponed.clear()
        return list(self.waiting.values())

    def conclude(self, result: RoundResult) -> Iterator[Finding]:
        """Draw the conclusions of a round; none if it showed that the server need not be probed."""
        for owners in result.plan.values():
            for target, _ in owners:
                target.probes += 1
        self._random_probe = result.random_probe or self._random_probe
        self._people.postponed.update(result.postponed)
        self._stopped = result.stopped
        if self._stopped is None and self.is_catch_all:
            self._stopped = result.accepted or self._random_probe
        if self._stopped is None:
            yield from self._apply_all(result)

    def finish_group(self, left_over: RoundResult, size: int) -> Iterator[Finding]:
        """End the search for a group of this size after the server was stopped; `left_over` is what was postponed.

        If the time limit for the group was too short but the server does answer, the next group has its own limit.
        """
        self._people.postponed.clear()
        yield from self._apply_all(left_over)
        is_late = self._is_timed_out and len(self.waiting) < size
        for target in self.waiting.values():
            yield self._not_found(target)
        self._people.waiting.clear()
        if is_late:
            self._stopped = None

    def defer(self, names: Container[Name], answer: Answer) -> Iterator[Finding]:
        """Defer these people for the reason that the answer gives, which may be about somebody else."""
        for name in [each for each in self.waiting if each in names]:
            yield self._finding(self._people.waiting.pop(name), answer.reason, answer)

    def end_search(self) -> Iterator[Finding]:
        """End the search for everybody who waits: none of them is worth a probe.

        Contenders stay undecided. So do those who were only refused: others may show a pattern that explains them.
        """
        for target in self.waiting.values():
            if self._contested.of(target.name):
                self._people.undecided[target.name] = target
            elif not target.open_answers:
                self._people.set_aside[target.name] = target
            else:
                self._unexplained_before += self._is_unexplained(target)
                yield self._not_found(target)
        self._people.waiting.clear()

    def decide(self) -> Iterator[Finding]:
        """Yield the remaining findings once everybody has been searched for."""
        self._people.waiting |= self._people.open
        self._contested.rule_out_strangers()
        yield from self._won()
        for target in self.waiting.values():
            contested = next(iter(self._contested.of(target.name).values()), None)
            yield self._finding(target, Reason.NAMESAKES, contested.answer) if contested else self._not_found(target)

    # The answers of a round

    def _apply_all(self, result: RoundResult) -> Iterator[Finding]:
        """Apply the answers: refusals first, since they show what an acceptance proves, then the likeliest."""
        plan = {
            local_part: owners
            for local_part, all_owners in result.plan.items()
            if (owners := [owner for owner in all_owners if owner[0].name not in result.postponed])
        }
        answers = result.answers
        by_weight = sorted(plan, key=lambda each: (answers[each].meaning in EXISTS, -plan[each][0][1].probability))
        for local_part in by_weight:
            # While somebody was postponed, the address may have become a colleague's.
            targets = [each for each, _ in plan[local_part] if each.name in self.waiting and local_part in each.options]
            yield from self._apply(local_part, targets, answers[local_part])
        for target in (target for owners in plan.values() for target, _ in owners):
            if target.is_deferred and target.name in self.waiting:
                del self._people.waiting[target.name]
                yield self._not_found(target)

    def _apply(self, local_part: str, owners: Sequence[Target], answer: Answer) -> Iterator[Finding]:
        exists = answer.meaning in EXISTS
        if answer.denied:
            self._note_refusal(local_part, owners, answer)
        elif owners and ((exists and self.is_catch_all is False) or answer.meaning is Meaning.MAILBOX_DISABLED):
            self._note_existing(local_part, owners, answer)
            yield from self._won()
        else:
            for target in owners:
                del target.options[local_part]
                target.open_answers.append(self._unproven(answer) if exists else answer)

    def _note_refusal(self, local_part: str, owners: Sequence[Target], answer: Answer) -> None:
        self._unknown.add(local_part)
        for target in owners:
            before = dict(target.refused)
            target.note_refusal(local_part)
            if answer.meaning is Meaning.NO_SUCH_MAILBOX:
                target.last_refusal = answer
            else:
                target.doubtful = answer
            self._model.note_refusal(before, target.refused)

    def _note_existing(self, local_part: str, owners: Sequence[Target], answer: Answer) -> None:
        """Find everybody without an address who may own one that exists, and learn its pattern."""
        people = {target.name: target for target in owners}
        for name in self._contested.rivals(local_part, self._people.found):
            people.setdefault(name, self._people.open.get(name) or self._new(name))
        contenders = {
            name: candidate for name, target in people.items() if (candidate := self._candidate(target, local_part))
        }
        address = ContestedAddress(answer, contenders, self._model.dominant)
        favourite = people[max(contenders, key=address.share)]
        self._contested.add(local_part, address)
        self._model.note_hit(favourite.options[local_part], favourite.refused)
        for target in owners:
            del target.options[local_part]

    def _unproven(self, accepted: Answer) -> Answer:
        """Return the answer for an acceptance that proves nothing: it may, once the random probe is answered."""
        if self._random_probe is not None and self._random_probe.may_change:
            return self._random_probe
        return replace(accepted, meaning=Meaning.UNCLEAR)

    # What is known of a person

    def _new(self, name: Name) -> Target:
        target = target_for(name, self._model.confirmed)
        if (spelled := self._styles.spelled(name)) is not name:
            target.spell(spelled)
        return target

    def _spell(self) -> None:
        """Expect of everybody the spelling style that others have shown."""
        if self._styles_applied == self._styles.version:
            return
        self._styles_applied = self._styles.version
        for name, target in self._people.open.items():
            if (spelled := self._styles.spelled(name)) is not name:
                target.spell(spelled)

    def _update(self, target: Target) -> None:
        target.leave_out(self._taken, self._unknown, self._model)
        contested = self._contested.of(target.name)
        shares = {local_part: address.share(target.name) for local_part, address in contested.items()}
        usual = any(address.is_usual_for(target.name, self._model.dominant) for address in contested.values())
        target.note_contested(shares, usual_is_contested=usual)

    def _exploratory(self, targets: Sequence[Target]) -> Sequence[Target]:
        """Choose a person to probe beyond what is worthwhile for them: a second pattern may explain others, too."""
        worth = WORTH_PROBING / (1 + self._model.outliers)
        unexplained = [replace(target, worth=worth) for target in targets if target.elsewhere == 1]
        likely = {candidate: target for target in unexplained if (candidate := target.best(self._model))}
        if len(unexplained) < ENOUGH_UNEXPLAINED or not likely:
            return []
        explored = self.waiting[likely[max(likely, key=lambda candidate: candidate.probability)].name]
        explored.worth = worth
        return [explored]

    def _is_unexplained(self, target: Target) -> bool:
        return self._model.dominant in target.refused_patterns

    def _candidate(self, target: Target, local_part: str) -> Candidate | None:
        options = {local_part: target.options[local_part]} if local_part in target.options else {}
        return likeliest(options, self._model.chances_of(target.refused))

    # Findings

    @property
    def _is_timed_out(self) -> bool:
        return self._stopped is not None and self._stopped.meaning is Meaning.TIME_LIMIT

    def _won(self) -> Iterator[Finding]:
        """Assign addresses to those who own them with certainty; each of these stops contending for others."""
        while won := next(self._contested.won_by(self._people.open), None):
            local_part, address, name = won
            target = self._people.open[name]
            self._people.note_found(name)
            self._taken.add(local_part)
            self._styles.note(name, local_part, address.contenders[name].pattern)
            self._contested.remove(name)
            yield self._owned(target, address)

    def _owned(self, target: Target, address: ContestedAddress) -> Finding:
        candidate, answer = address.contenders[target.name], address.answer
        finding = self._finding(target, answer.reason, answer)
        if answer.meaning not in EXISTS:
            return finding
        return replace(finding, candidate=candidate, by_pattern=candidate.pattern == address.dominant)

    def _not_found(self, target: Target) -> Finding:
        """Say why a person is not found; at a catch-all, infer the address if the pattern is known well enough."""
        if self.is_catch_all:
            return self._inferred(target)
        answer = target.explanation
        if self._stopped is not None and not target.open_answers and target.name not in self._people.set_aside:
            answer = self._stopped
        if answer is None or answer.meaning is Meaning.NO_SUCH_MAILBOX:
            return self._finding(target, Reason.EVERY_CANDIDATE_REFUSED, answer)
        return self._finding(target, answer.reason, answer)

    def _finding(self, target: Target, reason: Reason, answer: Answer | None) -> Finding:
        refused = target.refused_patterns
        return Finding(target.name, reason, answer, target.probes, catch_all=self.is_catch_all, refused=refused)

    def _inferred(self, target: Target) -> Finding:
        """Infer the address from the pattern, if enough addresses of the domain confirmed it elsewhere."""
        target.leave_out(self._taken, (), self._model)
        likely = likeliest(target.options, self._model.chances_of({})) if self._model.is_well_founded else None
        inferred = likely if likely and likely.probability >= LIKELY_ENOUGH else None
        if inferred is not None:
            self._taken.add(inferred.local_part)
        return Finding(
            target.name, Reason.CATCH_ALL, self._stopped, target.probes, inferred, by_pattern=True, catch_all=True
        )
