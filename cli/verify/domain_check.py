"""Verifies the addresses of a domain outside of any run, waits for deferrals, and keeps the transcript.

It runs the stage `email_verify`, and needs only a mail network: no Postgres, no Redis.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from pipeline.contacts import Batch, Contact
from pipeline.evidence import Evidence
from pipeline.lookup.providers.waterfall import NO_SOURCES
from pipeline.mail.dns.routes import MailRoute
from pipeline.mail.network import MailNetwork
from pipeline.mail.smtp.transcript import TRANSCRIPT, Transcript
from pipeline.mail.verdict import verdict_unknown
from pipeline.outcomes import Deferral, Outcome, Reason
from pipeline.stages import stage_named

OnWait = Callable[[str, Reason, float], None]
"""Called before a wait, with the domain, the reason of the deferral, and the seconds."""


@dataclass(frozen=True, slots=True)
class DomainCheck:
    """The outcomes of the addresses of one domain, in their order, with the conversation.

    `transcript` grows until the network is closed: the reply to QUIT comes last.
    """

    emails: Sequence[str]
    outcomes: Sequence[Outcome]
    route: MailRoute
    route_seconds: float
    transcript: Transcript


def verify(contacts: Sequence[Contact], network: MailNetwork) -> AsyncIterator[Outcome | Deferral]:
    """Yield an outcome or a deferral for each contact."""
    return stage_named("email_verify").stage.work(Batch(contacts), network, NO_SOURCES)


async def check_domain(
    domain: str,
    emails: Sequence[str],
    network: MailNetwork,
    patience: float = 0.0,
    on_wait: OnWait = lambda *_: None,
) -> DomainCheck:
    """Check valid addresses of one domain. Run it as a task of its own: the transcript belongs to the task.

    Servers that defer the question are asked again for up to `patience` seconds; `on_wait` is called before each wait.
    """
    transcript = Transcript()
    TRANSCRIPT.set(transcript)
    started = time.monotonic()
    route = await network.route(domain)
    route_seconds = time.monotonic() - started
    outcomes: dict[int, Outcome] = {}
    contacts = [Contact(position, email=email) for position, email in enumerate(emails)]
    while True:
        deferrals = await _ask(contacts, network, outcomes)
        if not deferrals:
            break
        longest = max(deferrals, key=lambda deferral: deferral.seconds)
        if longest.seconds > patience:
            outcomes |= {each.position: outcome_of_deferral(each, emails[each.position]) for each in deferrals}
            break
        on_wait(domain, longest.reason, longest.seconds)
        await asyncio.sleep(longest.seconds)
        patience -= longest.seconds
        waiting = {deferral.position for deferral in deferrals}
        contacts = [each._replace(deferrals=each.deferrals + 1) for each in contacts if each.position in waiting]
    return DomainCheck(emails, [outcomes[n] for n in range(len(emails))], route, route_seconds, transcript)


def outcome_of_deferral(deferral: Deferral, email: str) -> Outcome:
    """The outcome of an address that is deferred for longer than we can wait."""
    verdict = verdict_unknown(deferral.reason)
    evidence = Evidence(come_back_after_seconds=round(deferral.seconds))
    return Outcome(deferral.position, verdict.status, verdict.reason, email, score=verdict.score, evidence=evidence)


async def _ask(contacts: Sequence[Contact], network: MailNetwork, outcomes: dict[int, Outcome]) -> list[Deferral]:
    deferrals = []
    async for result in verify(contacts, network):
        if isinstance(result, Outcome):
            outcomes[result.position] = result
        else:
            deferrals.append(result)
    return deferrals
