"""Addresses through the verifying stage, in a network of the test's."""

from collections.abc import Sequence
from typing import cast

from pipeline.contacts import Batch, Contact
from pipeline.mail.network import MailNetwork
from pipeline.outcomes import Deferral, Outcome
from pipeline.stages import stage_named


def addresses(*emails: str) -> list[Contact]:
    return [Contact(position, email=email) for position, email in enumerate(emails)]


async def results_of(batch: Batch | Sequence[Contact], network: MailNetwork) -> list[Outcome | Deferral]:
    """One result for each contact, in the order of their positions."""
    batch = batch if isinstance(batch, Batch) else Batch(batch)
    results = [result async for result in stage_named("email_verify").stage.work(batch, network)]
    assert sorted(result.position for result in results) == sorted(contact.position for contact in batch.contacts)
    return sorted(results, key=lambda result: result.position)


async def outcomes_of(batch: Batch | Sequence[Contact], network: MailNetwork) -> list[Outcome]:
    """The same where no contact is deferred."""
    results = await results_of(batch, network)
    assert [result for result in results if isinstance(result, Deferral)] == []
    return cast("list[Outcome]", results)


async def outcome_of(email: str, network: MailNetwork) -> Outcome:
    (outcome,) = await outcomes_of(addresses(email), network)
    return outcome
