"""The verifying stage against real mail servers: where they run, and the verdicts on their addresses."""

import asyncio
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.local.ports import free_port
from pipeline.contacts import Batch, Contact
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.stages import stage_named
from tests.unit.mail.servers.scripted_servers import name_server

Zone = Mapping[tuple[str, str], Sequence[str]]


@dataclass(frozen=True)
class Servers:
    """The running hosts of a test module, all on one port, each with a directory of its own."""

    home: Path
    port: int
    zone: Zone
    log_name: str

    def log(self, name: str) -> str:
        """The log of a host."""
        return (self.home / name / self.log_name).read_text()


@contextmanager
def place_for_servers(zone: Zone, log_name: str) -> Iterator[Servers]:
    """A directory that the servers' own users may enter, and a free port."""
    with tempfile.TemporaryDirectory(prefix="growth-mail-servers-") as directory:
        home = Path(directory)
        home.chmod(0o755)
        yield Servers(home, free_port(0), zone, log_name)


def verify(servers: Servers, emails: Sequence[str], **config: Any) -> dict[str, Outcome]:
    """Verify addresses. A deferred one is probed again when its time has come, as often as `defer_seconds` allows."""

    async def scenario() -> dict[str, Outcome]:
        async with name_server(servers.zone) as (_, resolver):
            network = MailNetwork(
                MailNetworkConfig(
                    nameservers=(resolver,),
                    smtp_port=servers.port,
                    allow_private=True,
                    helo_name="growth.example",
                    **config,
                )
            )
            outcomes = await _work(network, emails)
            await network.close()
            return outcomes

    return asyncio.run(scenario())


def verdict(outcome: Outcome) -> tuple[OutcomeStatus, Reason]:
    return outcome.status, outcome.reason


async def _work(network: MailNetwork, emails: Sequence[str]) -> dict[str, Outcome]:
    contacts = {position: Contact(position, email=email) for position, email in enumerate(emails)}
    outcomes: dict[str, Outcome] = {}
    for deferrals in range(len(network.config.defer_seconds) + 1):
        deferred: list[Deferral] = []
        batch = Batch(
            [Contact(contact.position, email=contact.email, deferrals=deferrals) for contact in contacts.values()]
        )
        async for result in stage_named("email_verify").stage.work(batch, network):
            if isinstance(result, Outcome):
                outcomes[contacts.pop(result.position).email] = result  # type: ignore[index]
            else:
                deferred.append(result)
        await asyncio.sleep(max((deferral.seconds for deferral in deferred), default=0))
    assert not contacts
    return outcomes
