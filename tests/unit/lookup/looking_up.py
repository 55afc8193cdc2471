"""Runs the look-up stage over scripted mail servers."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.contacts import Batch, Contact, PatternCount
from pipeline.outcomes import Outcome, Reason
from pipeline.stages import stage_named
from tests.unit.mail.servers.scripted_servers import Reply, Seen, Talk, world

ACME = "acme.test"


def look_up(
    contacts: Sequence[Contact],
    servers: Mapping[str, Reply | Talk],
    known: Mapping[str, Sequence[PatternCount]] | None = None,
    **config: Any,
) -> tuple[dict[int, Outcome], dict[str, Seen]]:
    """Look up without deferrals."""

    async def scenario() -> tuple[dict[int, Outcome], dict[str, Seen]]:
        async with world(servers, defer_seconds=(), **config) as scripted:
            batch = Batch(contacts, known or {})
            results = [each async for each in stage_named("email_lookup").stage.work(batch, scripted.network)]
            outcomes = [each for each in results if isinstance(each, Outcome)]
            assert sorted(found.position for found in outcomes) == sorted(each.position for each in contacts)
            return {found.position: found for found in outcomes}, scripted.seen

    return asyncio.run(scenario())


def contacts(*full_names: str, domain: str = ACME) -> list[Contact]:
    return [Contact(position, full_name=name, domain=domain) for position, name in enumerate(full_names)]


def summary(outcomes: Mapping[int, Outcome]) -> list[tuple[str | None, Reason]]:
    return [(outcomes[position].email, outcomes[position].reason) for position in sorted(outcomes)]
