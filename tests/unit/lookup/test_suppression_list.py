"""Mail servers get no probe of an address on the account's suppression list."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import pytest

from pipeline.contacts import Batch, Contact
from pipeline.lookup.providers.waterfall import NO_SOURCES
from pipeline.mail.address.suppression import sha256_of
from pipeline.outcomes import Outcome, Reason
from pipeline.stages.email_lookup import EmailLookup
from tests.unit.lookup.looking_up import ACME, contacts
from tests.unit.mail.servers.scripted_servers import Greylist, Reply, Seen, mail_host, world


@dataclass(frozen=True)
class Listed:
    """A suppression list of these texts."""

    texts: Collection[str]

    async def among(self, digests: Iterable[bytes]) -> Collection[bytes]:
        return {sha256_of(text) for text in self.texts}.intersection(digests)


def look_up(contacts: Sequence[Contact], server: Reply, listed: str) -> tuple[dict[int, Outcome], Seen]:
    """Look up with this entry on the list; deferred contacts get up to two more visits."""
    sources = replace(NO_SOURCES, suppression_list=Listed({listed}))

    async def scenario() -> tuple[dict[int, Outcome], Seen]:
        left, outcomes = list(contacts), dict[int, Outcome]()
        async with world({ACME: server}, defer_seconds=(300.0, 900.0)) as scripted:
            while left:
                async for results in EmailLookup().work(Batch(left), scripted.network, sources):
                    if isinstance(results, Outcome):
                        outcomes[results.position] = results
                left = [each._replace(deferrals=each.deferrals + 1) for each in left if each.position not in outcomes]
                if isinstance(server, Greylist):
                    server.let_time_pass()
            return outcomes, scripted.seen[ACME]

    return asyncio.run(scenario())


def probed(seen: Seen) -> set[str]:
    return {command[len("RCPT TO:<") : -1] for command in seen.verbs("RCPT")}


@pytest.mark.parametrize("server", [mail_host("ghopper"), Greylist(mail_host("ghopper"))], ids=["ordinary", "greylist"])
def test_a_candidate_on_the_list_is_the_only_one_not_probed(server: Reply) -> None:
    outcomes, seen = look_up(contacts("Grace Hopper"), server, "ghopper@acme.test")

    assert {"grace.hopper@acme.test", "graceh@acme.test"} <= probed(seen)
    assert "ghopper@acme.test" not in probed(seen)
    assert (outcomes[0].email, outcomes[0].reason) == (None, Reason.SUPPRESSED)


def test_it_is_not_probed_for_a_colleague_who_may_have_it_either() -> None:
    people = contacts("Grace Hopper", "Gus Hopper", "Alan Turinger")

    outcomes, seen = look_up(people, mail_host("ghopper", "aturinger"), "ghopper@acme.test")

    assert "ghopper@acme.test" not in probed(seen)
    assert outcomes[2].email == "aturinger@acme.test"


def test_for_a_person_who_most_likely_has_it_nothing_is_probed() -> None:
    outcomes, seen = look_up(contacts("Grace Hopper"), mail_host("ghopper"), "grace.hopper@acme.test")

    assert (seen.sessions, outcomes[0].reason) == (0, Reason.SUPPRESSED)


def test_the_addresses_that_colleagues_supplied_show_who_most_likely_has_it() -> None:
    supplied = [
        Contact(position, full_name=name, email=f"{name[0]}{name.split()[1]}@acme.test".lower())
        for position, name in enumerate(["Ada Lovell", "Alan Turinger", "Kurt Godelin"], start=1)
    ]

    outcomes, seen = look_up([*contacts("Grace Hopper"), *supplied], mail_host("grace.hopper"), "ghopper@acme.test")

    assert (seen.sessions, outcomes[0].reason) == (0, Reason.SUPPRESSED)
