"""Lists of extreme shapes, over real sockets: memory stays flat, and no mail host sees more than its limit."""

import asyncio
import gc
import tracemalloc
from collections.abc import Callable
from functools import lru_cache

import pytest

from pipeline.contacts import Batch, Contact
from pipeline.mail.network import MailNetwork
from pipeline.outcomes import Outcome
from pipeline.stages.email_lookup import EmailLookup
from sandbox.counts import Counts
from sandbox.crowds import Crowd, at_one_domain, one_each, one_each_at_three_hosts
from sandbox.internet import Internet
from tests.integration.conftest import mail_config

pytestmark = pytest.mark.proof

Shape = Callable[[int], Crowd]
PEOPLE, CHUNK, PER_HOST = 600, 100, 3
"""`bench/mail/large_lists.py` does the same with ten thousand."""


@lru_cache
def look_up(shape: Shape) -> tuple[list[str | None], list[int], Counts]:
    """Return all addresses in order, the peak memory of each chunk, and the servers' counts."""
    crowd = shape(PEOPLE)
    emails: list[str | None] = []
    peaks: list[int] = []

    async def work(network: MailNetwork) -> None:
        for start in range(0, PEOPLE, CHUNK):
            contacts = [
                Contact(start + number, person.first_name, person.last_name, domain=person.domain)
                for number, person in enumerate(crowd.people[start : start + CHUNK])
            ]
            # Garbage of earlier chunks must not count for this one.
            gc.collect()
            tracemalloc.reset_peak()
            results = [each async for each in EmailLookup().work(Batch(contacts), network)]
            peaks.append(tracemalloc.get_traced_memory()[1])
            found = {each.position: each.email for each in results if isinstance(each, Outcome)}
            emails.extend(found[contact.position] for contact in contacts)
        await network.close()

    with Internet(crowd.people, crowd.domains) as internet:
        network = MailNetwork(mail_config(internet, connections_per_host=PER_HOST))
        tracemalloc.start()
        try:
            asyncio.run(work(network))
        finally:
            tracemalloc.stop()
        return emails, peaks, internet.counts


@pytest.mark.parametrize("shape", [at_one_domain, one_each, one_each_at_three_hosts])
def test_memory_is_flat_and_connections_stay_within_their_limit(shape: Shape) -> None:
    emails, peaks, counts = look_up(shape)

    assert emails == [person.email for person in shape(PEOPLE).people]
    assert peaks[-1] < 1.5 * peaks[1]
    assert max(host.most_at_once for host in counts.hosts.values()) <= PER_HOST


def test_one_domain_needs_few_sessions_and_little_more_than_one_command_per_contact() -> None:
    _, _, counts = look_up(at_one_domain)

    assert sum(host.connections for host in counts.hosts.values()) <= PEOPLE / 25
    assert sum(sum(host.commands.values()) for host in counts.hosts.values()) < 1.5 * PEOPLE


def test_companies_at_the_same_host_share_sessions() -> None:
    _, _, counts = look_up(one_each_at_three_hosts)

    assert sum(host.connections for host in counts.hosts.values()) <= PEOPLE / 4
