"""The stage that verifies addresses: would mail to them arrive?

Answers that `email_lookup` got minutes ago are used again; so are those of earlier runs, while they are fresh.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing

from pipeline.contacts import Batch, Contact, KnownAnswer
from pipeline.evidence import NO_EVIDENCE, AddressFacts, CacheEvidence, Evidence, ReplyEvidence
from pipeline.lookup.providers.waterfall import NO_SOURCES, Waterfall
from pipeline.mail.address.facts import DomainFacts, facts_about
from pipeline.mail.address.providers import refuses_later
from pipeline.mail.address.syntax import Address, parse_address
from pipeline.mail.catch_all import random_address
from pipeline.mail.network import MailNetwork
from pipeline.mail.probe import Prober
from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.meaning import ABOUT_US, Meaning
from pipeline.mail.verdict import INVALID_SYNTAX, Verdict, verdict_on_mailbox, verdict_on_route
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.stages.by_domain import in_groups, work_by_domain
from pipeline.stages.deferral import defer, defer_for_dns
from pipeline.stages.suppressed import read_addresses

HOPELESS = ABOUT_US - {Meaning.GREYLISTED}
"""After a group with no other answers, the domain's remaining addresses are not probed. Greylisting is not among
them: a greylisting server must be asked about every address once, so that it accepts it later."""

_NEED_RANDOM_PROBE = {Meaning.ACCEPTED, Meaning.GREYLISTED}
PROBED_TOGETHER = 5
"""From so many addresses on, the random one is probed together with them, as the last: it saves a round trip."""


class EmailVerify:
    """Verifies the address of each contact."""

    async def work(
        self, batch: Batch, network: MailNetwork, sources: Waterfall = NO_SOURCES, /
    ) -> AsyncIterator[Outcome | Deferral]:
        """Yield `valid`, `risky`, `invalid` or `unknown` for each contact, or its deferral.

        Contacts without an address are `skipped`, and so are those on the suppression list.
        """
        parsed = [(each, parse_address(each.email) if each.email else None) for each in batch.contacts]
        given = [address for _, address in parsed if isinstance(address, Address)]
        suppressed = await read_addresses(sources.suppression_list, given)
        addresses: dict[int, Address] = {}
        domains: dict[str, list[Contact]] = {}
        for contact, address in parsed:
            if not isinstance(address, Address):
                yield _without_address(contact)
            elif suppressed.has(address):
                yield Outcome(contact.position, OutcomeStatus.SKIPPED, Reason.SUPPRESSED)
            elif reply := _conclusive_reply(contact.evidence):
                yield _from_evidence(contact, address, contact.evidence, reply, network)
            elif (known := batch.known_answers.get(str(address))) and known.evidence.reply:
                yield _from_evidence(contact, address, _as_evidence(known), known.evidence.reply, network)
            else:
                addresses[contact.position] = address
                domains.setdefault(address.domain, []).append(contact)

        def verify(domain: str, contacts: Sequence[Contact]) -> AsyncIterator[Outcome | Deferral]:
            return _verify(domain, [(contact, addresses[contact.position]) for contact in contacts], network)

        at_once = network.config.conversations
        results = work_by_domain(domains, verify, at_once=at_once, on_fault=OutcomeStatus.UNKNOWN)
        async with aclosing(results):
            async for result in results:
                yield result


def _without_address(contact: Contact) -> Outcome:
    if not contact.email:
        return Outcome(contact.position, OutcomeStatus.SKIPPED, Reason.NO_EMAIL)
    return _outcome(contact.position, contact.email, INVALID_SYNTAX, NO_EVIDENCE)


def _conclusive_reply(evidence: Evidence) -> ReplyEvidence | None:
    """Return the reply that an earlier stage got, if it left everything that a verdict needs."""
    reply = evidence.reply
    if reply is None or evidence.catch_all is None:
        return None
    return reply if reply.mail_host and reply.reply_code and reply.meaning else None


def _as_evidence(known: KnownAnswer) -> Evidence:
    """Return the evidence of an earlier run, with its age."""
    return known.evidence._replace(cache=CacheEvidence(known.checked_at, round(known.age_seconds)))


def _from_evidence(
    contact: Contact, address: Address, evidence: Evidence, reply: ReplyEvidence, network: MailNetwork
) -> Outcome:
    """Return the outcome of an earlier reply by what is known now."""
    facts = facts_about(address, reply.mail_host, network.lists)
    verdict = _verdict(Meaning(reply.meaning), reply.mail_host, facts, catch_all=evidence.catch_all)
    return _outcome(contact.position, str(address), verdict, evidence._replace(facts=facts))


async def _verify(
    domain: str, addressed: Sequence[tuple[Contact, Address]], network: MailNetwork
) -> AsyncIterator[Outcome | Deferral]:
    """Probe the addresses of one domain, group by group."""
    with (stopwatch := network.stopwatch()):
        route = await network.route(domain)
    facts = DomainFacts(domain, route.mail_host, network.lists)
    if route.problem is not None:
        for contact, address in addressed:
            evidence = Evidence(dns=route.detail, facts=facts.about(address))
            verdict = verdict_on_route(route.problem)
            yield defer_for_dns(contact, route, network.config) or _outcome(
                contact.position, str(address), verdict, evidence
            )
        return
    async with network.conversation(route, stopwatch) as conversation:
        prober = _DomainProber(conversation, network)
        for members in in_groups(addressed, conversation, lambda: 1):
            is_last = members[-1] is addressed[-1]
            answers = await prober.probe([str(address) for _, address in members], is_last=is_last)
            for contact, address in members:
                email = str(address)
                answer = answers[email]
                random_probe = prober.random_probe if answer.meaning is Meaning.ACCEPTED else None
                deferral = defer(contact, answer, network.config) or defer(contact, random_probe, network.config)
                yield deferral or _judged(contact, email, answer, random_probe, facts.about(address))


def _judged(contact: Contact, email: str, answer: Answer, random_probe: Answer | None, facts: AddressFacts) -> Outcome:
    catch_all = random_probe.says_catch_all if random_probe else None
    verdict = _verdict(answer.meaning, answer.mail_host, facts, catch_all=catch_all)
    probed = random_probe.evidence if random_probe else None
    evidence = Evidence(reply=answer.evidence, catch_all=catch_all, random_probe=probed, facts=facts)
    return _outcome(contact.position, email, verdict, evidence)


def _verdict(meaning: Meaning, mail_host: str, facts: AddressFacts, *, catch_all: bool | None) -> Verdict:
    return verdict_on_mailbox(
        meaning,
        catch_all=catch_all,
        role=facts.role,
        disposable=facts.disposable,
        misspelled=facts.did_you_mean is not None,
        later_bounces=refuses_later(mail_host),
    )


class _DomainProber:
    """Probes addresses, and a random one after the first acceptance; stops if the server refuses us.

    `random_probe` is the answer about the random address. At a greylisting server it is probed too, for the next visit.
    """

    def __init__(self, conversation: Prober, network: MailNetwork) -> None:
        self.random_probe: Answer | None = None
        self._conversation = conversation
        self._network = network
        self._hopeless: Answer | None = None

    async def probe(self, addresses: Sequence[str], *, is_last: bool) -> Mapping[str, Answer]:
        if self._hopeless is not None:
            return dict.fromkeys(addresses, self._hopeless)
        self._conversation.restart_clock()
        answers = await self._probe_all(addresses, is_last=is_last)
        meanings = {answer.meaning for answer in answers.values()}
        if meanings <= HOPELESS:
            self._hopeless = answers[addresses[0]]
        if meanings & _NEED_RANDOM_PROBE and self.random_probe is None:
            if is_last:
                self._conversation.expect_no_more()
            self.random_probe = await self._network.random_probe(self._conversation)
        return answers

    async def _probe_all(self, addresses: Sequence[str], *, is_last: bool) -> Mapping[str, Answer]:
        """Probe the addresses, together with the random one if an acceptance is almost certain."""
        domain, config = self._conversation.domain, self._network.config
        known = self.random_probe or await self._network.known_random_probe(domain)
        if is_last and (known or len(addresses) >= PROBED_TOGETHER):
            self._conversation.expect_no_more()
        if known or len(addresses) < PROBED_TOGETHER:
            return await self._conversation.probe(addresses)
        at_random = random_address(domain, config.mail_from)
        answers = dict(await self._conversation.probe([*addresses, at_random]))
        random_probe = answers.pop(at_random) if at_random not in addresses else answers[at_random]
        if random_probe.says_catch_all is not None or random_probe.meaning is Meaning.GREYLISTED:
            self.random_probe = random_probe
            self._network.note_random_probe(domain, random_probe)
        return answers


def _outcome(position: int, email: str, verdict: Verdict, evidence: Evidence) -> Outcome:
    return Outcome(position, verdict.status, verdict.reason, email, None, verdict.score, evidence)
