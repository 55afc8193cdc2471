"""The engine's Celery application with stages that contact no server: everybody has an address.

All else is the engine's own: chain, leases, checkpoints, transitions, exports. The company of a batch's first contact
tells its mode:

- Z: an outcome at once.
- R: the same with the evidence that real stages give, of which patterns, people and verdicts are kept.
- S: 20 ms a contact, for at most 100 contacts at once in a worker process.
- T: one conversation with each domain, as slow as `bench.servers.slow_domains` says, at most 200 at once in a
  process.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from bench.peers.work import AT_ONCE, STAGES, WAIT_S, note_begun
from bench.servers.slow_domains import CONVERSATIONS, conversation_seconds
from pipeline.contacts import Batch, Contact
from pipeline.evidence import NO_EVIDENCE, AddressFacts, Evidence, ReplyEvidence, SearchEvidence
from pipeline.lookup.providers.waterfall import Waterfall
from pipeline.mail.network import MailNetwork
from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from pipeline.stages.email_lookup import EmailLookup
from pipeline.stages.email_verify import EmailVerify
from worker.app import app

__all__ = ["app"]

Conclude = Callable[[Contact, bool], Outcome]
Work = Callable[[Any, Batch, MailNetwork, Waterfall], AsyncIterator[Outcome]]

_contacts_at_once = asyncio.Semaphore(AT_ONCE)
_conversations_at_once = asyncio.Semaphore(CONVERSATIONS // 2)


def _found(contact: Contact, with_evidence: bool) -> Outcome:  # noqa: FBT001 - both stages conclude by one signature
    """What `email_lookup` concludes."""
    email = f"p{contact.position}@{contact.domain}"
    evidence = _evidence_of_search(contact) if with_evidence else NO_EVIDENCE
    return Outcome(
        contact.position, OutcomeStatus.FOUND, Reason.MAILBOX_EXISTS, email, "pattern", score=90, evidence=evidence
    )


def _valid(contact: Contact, with_evidence: bool) -> Outcome:  # noqa: FBT001
    """What `email_verify` concludes."""
    evidence = _evidence_of_verdict(contact) if with_evidence else NO_EVIDENCE
    return Outcome(
        contact.position, OutcomeStatus.VALID, Reason.MAILBOX_EXISTS, contact.email, score=95, evidence=evidence
    )


def _evidence_of_search(contact: Contact) -> Evidence:
    person = hashlib.sha256(f"{contact.domain}{contact.full_name}".encode()).digest()
    return Evidence(
        reply=_reply(contact.domain, "accepted", 250, "2.1.5 Ok"),
        catch_all=False,
        random_probe=_reply(contact.domain, "no_such_mailbox", 550, "5.1.1 User unknown"),
        search=SearchEvidence(1, contact.domain, person),
        pattern="first.last",
        confidence=0.9,
    )


def _evidence_of_verdict(contact: Contact) -> Evidence:
    return Evidence(
        reply=_reply(contact.domain, "accepted", 250, "2.1.5 Ok"),
        catch_all=False,
        facts=AddressFacts(
            disposable=False, free=False, role=False, provider="", did_you_mean=None, same_mailbox=contact.email or ""
        ),
    )


def _reply(domain: str, meaning: str, code: int, text: str) -> ReplyEvidence:
    return ReplyEvidence(meaning, f"mx.{domain}", code, text, datetime.now(UTC), 0.01, text.partition(" ")[0])


def _replaced(stage: str, conclude: Conclude) -> Work:
    async def work(
        _self: object, batch: Batch, _network: MailNetwork, _sources: object = None, /
    ) -> AsyncIterator[Outcome]:
        mode = batch.contacts[0].company if batch.contacts else "Z"
        if mode in "ZR":
            for contact in batch.contacts:
                note_begun(stage, contact.position)
                yield conclude(contact, mode == "R")
            return
        async for contacts in _answered(stage, batch.contacts) if mode == "S" else _talked_to(batch.contacts):
            for contact in contacts:
                yield conclude(contact, False)  # noqa: FBT003

    return work


async def _answered(stage: str, contacts: Sequence[Contact]) -> AsyncIterator[Sequence[Contact]]:
    answers: asyncio.Queue[Sequence[Contact]] = asyncio.Queue()
    left = iter(contacts)

    async def one_after_the_other() -> None:
        for contact in left:
            async with _contacts_at_once:
                note_begun(stage, contact.position)
                await asyncio.sleep(WAIT_S)
            answers.put_nowait([contact])

    async with _in_flight([one_after_the_other() for _ in range(min(AT_ONCE, len(contacts)))]):
        for _ in contacts:
            yield await answers.get()


async def _talked_to(contacts: Sequence[Contact]) -> AsyncIterator[Sequence[Contact]]:
    answers: asyncio.Queue[Sequence[Contact]] = asyncio.Queue()
    domains: dict[str, list[Contact]] = {}
    for contact in contacts:
        domains.setdefault(contact.domain, []).append(contact)

    async def converse(domain: str, members: Sequence[Contact]) -> None:
        async with _conversations_at_once:
            await asyncio.sleep(conversation_seconds(domain))
        answers.put_nowait(members)

    async with _in_flight([converse(*each) for each in domains.items()]):
        for _ in domains:
            yield await answers.get()


@asynccontextmanager
async def _in_flight(work: Sequence[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


EmailLookup.work = _replaced(STAGES[0], _found)  # type: ignore[method-assign,assignment]
EmailVerify.work = _replaced(STAGES[1], _valid)  # type: ignore[method-assign,assignment]
